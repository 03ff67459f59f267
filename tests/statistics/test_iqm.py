import math

import numpy as np
import pytest
from scipy import stats

from vaebench.statistics import iqm
from vaebench.statistics.iqm import interquartile_means, lacking, normalised

TASK = {"a": [1.0, 3.0, 2.0], "b": [6.0, 6.0, 6.0], "c": [4.0, 4.0, 4.0]}


def test_zero_and_one_are_the_worst_and_the_best_mean():
    scores = normalised(TASK, "higher")
    assert scores["a"].tolist() == [-0.25, 0.25, 0.0]
    assert scores["b"].tolist() == [1, 1, 1] and scores["c"].tolist() == [0.5] * 3
    assert normalised(TASK, "lower")["a"].tolist() == [1.25, 0.75, 1.0]
    assert normalised({"a": [1.0], "b": [1.0]}, "higher") == {}


def test_the_mean_is_that_of_the_middle_half_of_all_scores():
    rng = np.random.default_rng(0)
    tasks = [{"a": rng.normal(0, 1, 4), "b": rng.normal(3, 1, 4)} for _ in range(3)]
    found = interquartile_means(tasks, "higher")
    for name in ("a", "b"):
        scores = np.sort(np.concatenate([normalised(task, "higher")[name] for task in tasks]))
        assert found[name].mean == pytest.approx(scores[3:9].mean())
        assert found[name].scores == 12


def test_three_seeds_of_one_data_set_have_students_interval():
    """Of three scores nothing is trimmed."""
    found = interquartile_means([TASK], "higher")["a"]
    x = normalised(TASK, "higher")["a"]
    expected = stats.t.interval(0.95, 2, x.mean(), stats.sem(x))
    assert (found.low, found.high) == pytest.approx(expected)


def test_data_sets_that_are_apart_do_not_widen_the_interval():
    far = [{"a": [0.0, 0.0, 0.0], "b": [1.0] * 3}, {"a": [5.0, 5.0, 5.0], "b": [1.0] * 3}]
    found = interquartile_means(far, "higher")["a"]
    assert found.low == found.mean == found.high == 0.5


def test_an_outlier_does_not_move_the_mean():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, 20)
    mild = iqm.aggregate([np.append(scores, 4.0)])
    wild = iqm.aggregate([np.append(scores, 40.0)])
    assert wild.mean == mild.mean
    assert iqm.aggregate([scores]).mean == pytest.approx(mild.mean, abs=0.3)


@pytest.mark.parametrize(
    ("seeds", "datasets"), [(3, 1), (4, 1), (5, 1), (10, 1), (2, 2), (2, 4), (3, 3), (10, 3)]
)
def test_the_interval_holds_the_mean_in_95_of_100_runs(seeds, datasets):
    rng = np.random.default_rng(0)
    runs, held = 1000, 0
    for _ in range(runs):
        found = iqm.aggregate([rng.normal(0, 1, seeds) for _ in range(datasets)])
        held += found.low <= 0 <= found.high
    assert held / runs == pytest.approx(0.95, abs=3.5 * math.sqrt(0.05 * 0.95 / runs))


def test_what_is_lacking_is_said():
    one = {"a": [1.0], "b": [2.0]}
    two = {"a": [1.0, 1.5], "b": [2.0, 2.5]}
    assert "needs 3 finished seeds" in lacking([one]) and "at most 1 on 1" in lacking([one])
    assert lacking([two]) and lacking([one, one]) and lacking([])
    assert not lacking([two, two]) and not lacking([TASK])


def test_a_variant_with_too_few_seeds_is_left_out_and_no_other():
    task = TASK | {"d": [9.0]}
    assert lacking([task]) == ""
    assert set(interquartile_means([task], "higher")) == {"a", "b", "c"}
    assert set(interquartile_means([TASK, task], "higher")) == {"a", "b", "c"}


def test_data_sets_on_which_all_are_equal_say_nothing():
    equal = {name: [1.0, 1.0, 1.0] for name in TASK}
    assert interquartile_means([equal], "higher") == {}
    assert interquartile_means([TASK, equal], "higher") == interquartile_means([TASK], "higher")
