"""Which sides are compared, in what, and what is a verdict."""

import math
from pathlib import Path

import pandas as pd
import pytest

from tests.report.make_run import result, write_cell
from vaebench.report.comparison import differences
from vaebench.report.comparison.differences import Line, Side, compare, same, sides
from vaebench.report.sheet import scores
from vaebench.runs import numbers
from vaebench.statistics.intervals import Difference, difference


def side(**settings):
    return Side("gaussian", Path("run"), {"plugin": "gaussian", **settings}, pd.DataFrame(), [])


def test_sides_with_other_settings_are_not_the_same():
    assert same(side(lr=1.0), side(lr=1.0), ())
    assert not same(side(lr=1.0), side(lr=2.0), ())
    assert same(side(lr=1.0), side(lr=2.0), ("lr",))


def test_a_setting_that_an_older_side_lacks_is_what_it_was_then(monkeypatch):
    monkeypatch.setattr(differences, "ABSENT", {"optimiser": "adam"})
    assert same(side(), side(optimiser="adam"), ())
    assert not same(side(), side(optimiser="sgd"), ())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three seeds of two variants."""
    folder = tmp_path_factory.mktemp("differences") / "run"
    for name in ("gaussian", "iwae"):
        for seed in (0, 1, 2):
            write_cell(folder, result(name, seed))
    return folder


def lines(run, *metrics, every=False):
    (found,) = compare(("gaussian", "iwae"), run, metrics, every)
    return {line.column.name: line for line in found.lines}, found


def test_the_main_metrics_come_first_and_others_on_request(run):
    few, shown = lines(run)
    assert {"elbo", "kl", "seconds"} <= set(few) and "iwae_128" not in few
    assert shown.more > 3 and len(shown.parts) == 1
    every, whole = lines(run, every=True)
    assert list(every)[: len(few)] == list(few) and len(every) == len(few) + shown.more
    assert whole.more == 0 and len(whole.parts) == 2
    assert all(every[name].difference == few[name].difference for name in few)


def test_other_metrics_are_judged_together(run):
    alone, together = lines(run, "iwae_128")[0]["iwae_128"], lines(run, every=True)[0]["iwae_128"]
    a, b = scores_of(run, "iwae_128")
    rest = [line for line in lines(run, every=True)[0].values() if not line.column.key]
    decided = [x for x in rest if x.outcome in ("better", "worse", "other", "undecided")]
    assert alone.difference == difference(b, a)
    assert together.difference == difference(b, a, 1 - 0.05 / len(decided))
    assert together.difference.margin > alone.difference.margin


def scores_of(run, metric):
    return [
        scores(
            side.cells,
            metric,
            numbers.read(run, side.cells["cell"], "per_image.csv", "index"),
        )
        for side in sides(run)
    ]


@pytest.mark.parametrize(
    ("values", "gap", "outcome"),
    [
        ((8.0, 8.0), Difference(0.0, math.nan, ""), "equal"),
        ((100.0, 100.0001), Difference(0.0001, 1e-6, ""), "equal"),
        ((9100.0, 9200.0), Difference(100.0, 0.0, "3 seeds"), "constant"),
        ((1.0, 2.0), Difference(1.0, math.nan, ""), "not known"),
        ((1.0, 2.0), Difference(1.0, 0.5, ""), "better"),
        ((1.0, 2.0), Difference(1.0, 1.5, ""), "undecided"),
    ],
)
def test_rounding_and_constants_are_no_verdict(run, values, gap, outcome):
    column = lines(run)[0]["elbo"].column
    assert Line(column, values, gap).outcome == outcome
