import numpy as np
import pandas as pd
import pytest

from vaebench.reproduction import course, recipe, table
from vaebench.runs.numbers import NONE, Numbers

RECIPE = """
title: Synthetic
paper: None
setup: none
x: k
settings: {dataset: digits, metrics: [iwae, kl], evaluate: last}
lines:
  A:
    points: {1: {plugins: gaussian}, 5: {plugins: "gaussian[samples=5]"}}
measures:
  "-L": {column: iwae_500, sign: -1, unit: nats, near: 1.5}
  rate: {column: kl, unit: nats, near: 1.5}
budgets:
  full: {says: all}
  long: {says: less, share: 0.1, settings: {seeds: [0, 1]}}
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "own.yaml").write_text(RECIPE)
    (tmp_path / "published.csv").write_text(
        "recipe,line,x,measure,value,std,source\nown,A,1,-L,80,,p\nown,A,1,rate,20,,p\n"
    )
    return recipe.load(str(tmp_path / "own.yaml"))


def history(*objective, elbo=None):
    values = np.array([objective, objective if elbo is None else elbo]).T
    places = {"valid_objective": 0, "valid_elbo": 1}
    return Numbers(np.arange(1, len(objective) + 1), places, values)


CELLS = pd.DataFrame(
    {
        "cell": ["a", "b"],
        "plugin": "gaussian",
        "seed": [0, 1],
        "iwae_500": [-83.0, -85.0],
        "kl": 21.0,
        "kl_warmup": 0,
        "evaluate": "last",
    }
)
HISTORIES = {"a": history(-95.0, -90.0, -86.0, -85.0), "b": history(-99.0, -90.0, -88.0, -87.0)}


def test_the_way_ends_at_the_distance_that_was_measured(load):
    rows = table.rows(load, "long", CELLS)
    shares, nats = course.gaps(load, "long", rows[0], CELLS, HISTORIES)
    np.testing.assert_allclose(shares, [0.025, 0.05, 0.075, 0.1])
    # The mean of 83 and 85 is 4 short of 80; validation was 10 and 12 lower after one epoch.
    np.testing.assert_allclose(nats, [4 + 11, 4 + 4, 4 + 1, 4])


def test_what_does_not_rise_with_the_objective_or_has_no_share_has_no_way(load):
    rows = table.rows(load, "long", CELLS)
    rate = next(row for row in rows if row.key == table.Key("A", 1, "rate"))
    unpublished = next(row for row in rows if row.key == table.Key("A", 5, "-L"))
    for row in (rate, unpublished):
        assert not len(course.gaps(load, "long", row, CELLS, HISTORIES)[0])
    full = table.rows(load, "full", CELLS)
    assert not len(course.gaps(load, "full", full[0], CELLS, HISTORIES)[0])
    assert course.png(load, "full", full, CELLS, HISTORIES) is None
    lost = dict.fromkeys("ab", NONE)
    assert not len(course.gaps(load, "long", rows[0], CELLS, lost)[0])


def test_epochs_of_warm_up_are_left_out_and_the_best_epoch_is_the_end():
    rising = history(-50.0, -90.0, -84.0, -86.0, elbo=(-95.0, -91.0, -88.0, -89.0))
    np.testing.assert_array_equal(
        course.course(rising, "iwae_500", 1, best=True), [np.nan, 6.0, 0.0, 2.0]
    )
    np.testing.assert_array_equal(
        course.course(rising, "iwae_500", 1, best=False), [np.nan, 4.0, -2.0, 0.0]
    )
    np.testing.assert_array_equal(course.course(rising, "elbo", 0, best=True), [7.0, 3.0, 0.0, 1.0])
    assert not len(course.course(NONE, "elbo", 0, best=True))


def test_the_picture_shows_it(load):
    rows = table.rows(load, "long", CELLS)
    assert course.png(load, "long", rows, CELLS, HISTORIES)[:4] == b"\x89PNG"
