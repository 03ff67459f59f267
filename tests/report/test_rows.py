"""Errors of the entries of a table."""

import pandas as pd
import pytest

from vaebench.report.columns import Column
from vaebench.report.rows import Notes, make_row
from vaebench.runs.schema import blank


def entry(values, errors, unit):
    """The entry of cells that differ by their seed."""
    cells = [f"a-s{i}" for i in range(len(values))]
    part = pd.DataFrame(
        {"cell": cells, "status": "done", "reason": "", "m": values, "m_se": errors}
    )
    column = Column(
        name="m", short="m", title="M", unit=unit, better=None, description="", depends="", digits=2
    )
    records = {cell: blank(cell, "done", "") for cell in cells}
    return make_row("a", part, [column], {}, Notes(), records).entries["m"]


@pytest.mark.parametrize(
    ("value", "unit", "margins"),
    [
        (0.99, "share", (0.03, 0.01)),
        (0.01, "AUROC", (0.01, 0.03)),
        (0.5, "share", (0.03, 0.03)),
        (0.99, "nats", (0.03, 0.03)),
    ],
)
def test_error_bars_of_shares_stay_within_nought_and_one(value, unit, margins):
    found = entry([value], [0.03], unit)
    assert found.margins == pytest.approx(margins)
    assert found.error == "± 0.03"


def test_intervals_of_shares_are_cut_too():
    found = entry([0.97, 0.99, 1.0], [0.01] * 3, "share")
    assert found.value + found.margins[1] == pytest.approx(1)
    assert found.error.endswith("1.00]")
