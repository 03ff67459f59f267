import pandas as pd
import pytest

from vaebench.report.plots.history import curve
from vaebench.report.plots.look import Look


@pytest.mark.parametrize(
    ("term", "unit"),
    [
        ("valid_elbo", "nats"),
        ("train_variance", "nats"),
        ("train_clipped", "share of steps"),
        ("train_critic", "loss"),
    ],
)
def test_each_curve_has_its_unit(term, unit):
    history = pd.DataFrame({term: [1.0, 2.0]}, index=[1, 2])
    (axes,) = curve(term, {"a": [history]}, Look(["a"])).axes
    assert axes.get_ylabel() == unit and axes.get_xlabel() == "epoch"
