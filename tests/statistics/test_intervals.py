import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vaebench.statistics.intervals import Score, difference, interval, pairwise, verdict


def scores(*values, se=None):
    return {seed: Score(value, se) for seed, value in enumerate(values)}


def images(mean, noise, seed=0, n=400):
    """A score whose images vary far more than the noise of its own."""
    shared = np.random.default_rng(1).normal(0, 5, n)
    own = np.random.default_rng(seed).normal(mean, noise, n)
    values = pd.Series(shared + own)
    return Score(float(values.mean()), float(values.sem()), values)


def test_interval_is_student_t_below_ten_seeds():
    x = np.array([1.0, 2.0, 4.0])
    low, high, method = interval(x)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, x.mean(), stats.sem(x)))
    assert method == "t"
    assert interval(range(9)).method == "t"


def test_interval_is_a_bootstrap_from_ten_seeds():
    x = np.random.default_rng(0).exponential(size=40)
    low, high, method = interval(x)
    other = stats.bootstrap((x,), np.mean, method="percentile", rng=1, n_resamples=20_000)
    assert method == "bootstrap"
    assert (low, high) == pytest.approx(tuple(other.confidence_interval), abs=0.02)
    assert interval(x) == interval(x)


def test_one_seed_has_no_interval():
    low, high, method = interval([3.0])
    assert math.isnan(low) and math.isnan(high) and method == ""


def test_one_seed_is_paired_over_images():
    a, b = images(0.3, 0.5, 2), images(0.0, 0.5, 3)
    found = difference({0: a}, {0: b})
    expected = stats.ttest_rel(a.images, b.images).confidence_interval()
    assert found.mean == pytest.approx(a.value - b.value)
    assert found.margin == pytest.approx((expected.high - expected.low) / 2)
    assert found.significant
    unpaired = difference({0: a._replace(images=None)}, {0: b._replace(images=None)})
    assert unpaired.margin > 5 * found.margin
    assert not unpaired.significant


def test_images_that_only_one_row_has_are_left_out():
    a, b = images(0.3, 0.5, 2), images(0.0, 0.5, 3)
    few = Score(b.value, b.se, b.images.iloc[:64])
    assert difference({0: a}, {0: few}).method == "64 images, paired"


def test_without_any_error_nothing_is_significant():
    found = difference(scores(1.0), scores(2.0))
    assert math.isnan(found.margin)
    assert not found.significant


def test_seeds_are_paired():
    noise = np.array([0.0, 10.0, 20.0, 30.0])
    a, b = noise + np.array([1.0, 1.1, 0.9, 1.0]), noise
    found = difference(scores(*a), scores(*b))
    expected = stats.ttest_rel(a, b).confidence_interval()
    assert found.margin == pytest.approx((expected.high - expected.low) / 2)
    assert found.significant


def test_errors_of_training_and_of_the_estimate_add_up():
    a, b = [1.0, 2.0, 4.0], [0.0, 2.0, 1.0]
    seeds = difference(scores(*a), scores(*b)).margin
    both = difference(scores(*a, se=0.3), scores(*b, se=0.4)).margin
    assert both == pytest.approx(math.hypot(seeds, stats.norm.ppf(0.975) * 0.5))


def test_different_seeds_are_two_samples():
    a, b = scores(1.0, 2.0, 4.0), {7: Score(5.0), 8: Score(7.0)}
    found = difference(a, b)
    expected = stats.ttest_ind([1.0, 2.0, 4.0], [5.0, 7.0]).confidence_interval()
    assert found.margin == pytest.approx((expected.high - expected.low) / 2)


def test_one_surviving_seed_is_no_surer_than_the_others():
    """Where a variant's other seeds failed, its one run must not count as free of noise."""
    many = scores(1.0, 3.0, 5.0, se=0.01)
    assert difference(many, {0: Score(6.0, 0.01)}).margin > 4


@pytest.mark.parametrize(("better", "best"), [("higher", "b"), ("lower", "a")])
def test_the_best_needs_a_significant_difference_to_every_other_row(better, best):
    rows = {"a": scores(1.0, se=0.1), "b": scores(2.0, se=0.1)}
    found = verdict(rows, better)
    assert found is not None
    assert (found.best, found.ties) == (best, [])
    noisy = {name: scores(row[0].value, se=1.0) for name, row in rows.items()}
    tied = verdict(noisy, better)
    assert tied is not None
    assert tied.best == best and len(tied.ties) == 1


def test_no_verdict_without_direction_rival_or_error():
    rows = {"a": scores(1.0, se=0.1), "b": scores(2.0, se=0.1)}
    assert verdict(rows, None) is None
    assert verdict({"a": rows["a"]}, "higher") is None
    assert verdict({"a": scores(1.0), "b": scores(2.0)}, "higher") is None


def test_equal_variants_rarely_have_a_winner():
    """Eight variants of the same quality: a winner in at most about one of twenty tables."""
    rng = np.random.default_rng(0)
    winners = 0
    for _ in range(400):
        rows = {str(i): scores(*rng.normal(0, 1, 3)) for i in range(8)}
        found = verdict(rows, "higher")
        winners += found is not None and not found.ties
    assert winners <= 400 * 0.05 + 5 * math.sqrt(400 * 0.05 * 0.95)


def test_a_true_difference_is_found():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        a, b = scores(*rng.normal(3, 0.5, 5)), scores(*rng.normal(0, 0.5, 5))
        one = verdict({"a": a, "b": b}, "higher")
        found += one is not None and one.best == "a" and not one.ties
    assert found > 190


def test_pairs_are_antisymmetric_and_each_is_a_difference_of_its_own():
    rows = {"a": scores(1.0, 2.0, 4.0), "b": scores(0.0, 2.0, 1.0), "c": scores(5.0, 5.0, 9.0)}
    found = pairwise(rows)
    assert set(found) == {(x, y) for x in rows for y in rows if x != y}
    for (x, y), gap in found.items():
        assert gap == difference(rows[x], rows[y])
        assert gap.mean == -found[y, x].mean and gap.margin == found[y, x].margin
