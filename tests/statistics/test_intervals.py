import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vaebench.statistics import Score, difference, interval


def scores(*values, se=None):
    return {seed: Score(value, se) for seed, value in enumerate(values)}


def images(mean, noise, seed=0, n=400):
    """A score whose images vary far more than the noise of its own."""
    shared = np.random.default_rng(1).normal(0, 5, n)
    own = np.random.default_rng(seed).normal(mean, noise, n)
    values = pd.Series(shared + own)
    return Score(float(values.mean()), float(values.sem()), values)


@pytest.mark.parametrize("seeds", [2, 3, 9, 10, 12, 20, 100])
def test_interval_is_student_t_at_every_number_of_seeds(seeds):
    x = np.random.default_rng(seeds).exponential(size=seeds)
    low, high, method = interval(x)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, seeds - 1, x.mean(), stats.sem(x)))
    assert method == "t"


@pytest.mark.parametrize("seeds", [2, 9, 10, 20])
def test_interval_holds_the_mean_in_95_of_100_runs(seeds):
    runs = 4000
    x = np.random.default_rng(0).normal(size=(runs, seeds))
    held = sum(low <= 0 <= high for low, high, _ in map(interval, x))
    assert held / runs == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / runs))


def test_the_interval_of_a_share_stays_within_zero_and_one():
    assert interval([0.95, 0.99, 1.0], (0, 1)).high == 1 > interval([0.95, 0.99, 1.0], (0, 1)).low
    assert interval([0.0, 0.01, 0.2], (0, 1)).low == 0
    assert interval([0.4, 0.5, 0.6], (0, 1)) == interval([0.4, 0.5, 0.6])


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


def test_different_seeds_are_two_samples_with_variances_of_their_own():
    x, y = [1.0, 2.0, 4.0], [5.0, 17.0]
    found = difference(scores(*x), {7: Score(y[0]), 8: Score(y[1])})
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert found.margin == pytest.approx((expected.high - expected.low) / 2)
    assert not found.models


def test_a_single_seed_makes_a_statement_about_models():
    assert difference({0: Score(1.0, 0.1)}, {0: Score(2.0, 0.1)}).models
    assert difference(scores(1.0, 2.0, 3.0), {0: Score(2.0)}).models
    assert not difference(scores(1.0, 2.0), scores(2.0, 2.5)).models


def test_one_surviving_seed_is_no_surer_than_the_others():
    """Where a variant's other seeds failed, its one run must not count as free of noise."""
    many = scores(1.0, 3.0, 5.0, se=0.01)
    assert difference(many, {0: Score(6.0, 0.01)}).margin > 4


def test_scores_that_are_nan_do_not_count():
    holes, whole = scores(1.0, math.nan, 1.2, 1.4), {0: Score(1.0), 2: Score(1.2), 3: Score(1.4)}
    other = scores(2.0, 2.5, 2.2, 2.1)
    assert difference(holes, other) == difference(whole, other)
    assert interval([1.0, math.nan, 1.2, 1.4]) == interval([1.0, 1.2, 1.4])
    nothing = difference(scores(math.nan), other)
    assert math.isnan(nothing.mean) and math.isnan(nothing.margin) and not nothing.significant


@pytest.mark.filterwarnings("error")
def test_infinite_scores_are_told_from_nothing():
    found = difference(scores(-math.inf, -5.0), scores(1.0, 2.0))
    assert found.mean == -math.inf and math.isnan(found.margin) and not found.significant
    assert math.isnan(interval([1.0, math.inf, 2.0]).low)
    series = pd.Series([-math.inf, 1.0, 2.0])
    one, two = Score(-math.inf, 0.1, series), Score(2.0, 0.1, series + 1)
    assert not difference({0: one}, {0: two}).significant


def test_what_is_rounding_is_no_difference():
    found = difference(scores(0.3, 0.3, 0.3), scores(*[0.1 + 0.2] * 3))
    assert found.mean == 0 and not found.significant
    assert difference(scores(*[0.7] * 6), {9 + k: Score(0.7) for k in range(7)}).margin == 0


@pytest.mark.parametrize(("seeds", "chance"), [(2, 1 / 3), (3, 1 / 10), (4, 1 / 35), (5, 1 / 126)])
def test_constant_counts_differ_where_a_permutation_test_says_so(seeds, chance):
    """Of all ways to share so many values out, two put the equal ones together."""
    one, two = scores(*[20.0] * seeds), {9 + k: Score(19.0) for k in range(seeds)}
    groups = np.array([0] * seeds + [1] * seeds)
    found = stats.permutation_test(
        (np.r_[:seeds], np.r_[seeds : 2 * seeds]),
        lambda x, y: np.mean(groups[x]) - np.mean(groups[y]),
        n_resamples=1000,
    )
    assert found.pvalue == pytest.approx(chance)
    assert difference(one, two).significant == (chance < 0.05)
    paired = difference(one, scores(*[19.0] * seeds))
    assert paired.significant == (stats.binomtest(0, seeds).pvalue < 0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        difference(scores(1.0, 2.0), scores(2.0, 4.0), level)
