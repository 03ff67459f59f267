"""Which sides are compared."""

from pathlib import Path

import pandas as pd

from vaebench.report.comparison import differences
from vaebench.report.comparison.differences import Side, same


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
