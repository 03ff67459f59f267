"""The kit's p-values are exact: against scipy, by enumeration, and uniform where a law holds."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from vaebench.testing.statistics import (
    ALPHA,
    combined,
    exact_normal,
    labels_follow,
    mean_at_most,
    poisson_binomial,
    vanishing_mean,
)

SEEDS = 300


def uniform(p_values):
    """P-value of: these numbers are uniform."""
    return stats.kstest(p_values, "uniform").pvalue


def test_poisson_binomial_is_the_binomial_for_equal_probabilities():
    law = poisson_binomial(np.full((1, 40), 0.3))
    np.testing.assert_allclose(law[0], stats.binom.pmf(range(41), 40, 0.3), rtol=1e-11)


def test_poisson_binomial_by_enumeration():
    p = np.random.default_rng(0).random(9)
    expected = np.zeros(10)
    for outcome in product((0, 1), repeat=9):
        expected[sum(outcome)] += np.prod(np.where(outcome, p, 1 - p))
    np.testing.assert_allclose(poisson_binomial(p), expected, rtol=1e-12)


def test_counts_become_independent_standard_normals():
    rng = np.random.default_rng(1)
    p = rng.beta(0.3, 0.3, (4000, 12))  # few trials, many of them nearly certain
    scores = exact_normal((rng.random(p.shape) < p).sum(1), poisson_binomial(p), rng)
    assert stats.kstest(scores, "norm").pvalue > 1e-4


def test_an_impossible_count_is_infinitely_far():
    law = poisson_binomial(np.zeros((1, 5)))
    assert np.isinf(exact_normal(np.array([1]), law, np.random.default_rng(0))).all()


def labelled(seed, tilt=0.0, size=1024):
    """Labels with stated odds, each wrong by a factor exp(tilt · place)."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(size, 2))
    logits = 2 * places[:, 0]
    labels = rng.random(size) < 1 / (1 + np.exp(-logits - tilt * places[:, 1]))
    return labels_follow(labels.astype(float), 1 / (1 + np.exp(-logits)), places, rng)


def test_labels_p_values_are_uniform():
    assert uniform([labelled(seed) for seed in range(SEEDS)]) > 1e-4


def test_labels_of_wrong_odds_are_told():
    assert max(labelled(seed, tilt=0.7, size=4096) for seed in range(5)) < ALPHA


def test_labels_that_the_odds_exclude_are_told():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(64, 2))
    assert labels_follow(np.ones(64), np.zeros(64), places, rng) == 0
    assert labels_follow(np.ones(64), np.full(64, np.nan), places, rng) == 0


def test_one_mean_is_the_t_test():
    x = np.random.default_rng(2).normal(0.3, 1, (20, 1))
    assert vanishing_mean(x) == pytest.approx(stats.ttest_1samp(x[:, 0], 0).pvalue, rel=1e-9)
    expected = stats.ttest_1samp(x[:, 0], 0.1, alternative="greater").pvalue
    assert mean_at_most(x[:, 0], 0.1) == pytest.approx(expected, rel=1e-6)


def skewed(seed, columns=4, per_replicate=256):
    """Correlated replicates of a bounded, skewed quantity, as the checks have them."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(64, per_replicate, columns)) @ (np.eye(columns) + 0.5)
    return (np.exp(-np.square(noise)) - 1 / np.sqrt(1 + 2 * (1 + columns * 0.25 + 1))).mean(1)


def test_mean_p_values_are_uniform():
    centre = np.mean([skewed(seed).mean(0) for seed in range(1000, 1400)], 0)
    assert uniform([vanishing_mean(skewed(seed) - centre) for seed in range(SEEDS)]) > 1e-4


def test_mean_p_values_do_not_depend_on_the_axes():
    x = skewed(0)[:, :3] - 0.29
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0] * [1, 10, 100]
    assert vanishing_mean(x @ turn) == pytest.approx(vanishing_mean(x), rel=1e-6)


def test_quantities_without_variance():
    assert vanishing_mean(np.full((8, 2), 1e-13)) == 1
    assert vanishing_mean(np.full((8, 2), 1e-3)) == 0
    half_fixed = np.stack([np.random.default_rng(4).normal(size=8), np.full(8, 0.1)], 1)
    assert vanishing_mean(half_fixed) == 0
    assert mean_at_most(np.zeros(8)) == 1
    assert mean_at_most(np.full(8, 1e-3)) == 0
    assert mean_at_most(np.full(8, -np.inf)) == 1
    assert mean_at_most(np.full(8, np.nan)) == 0
    assert vanishing_mean(np.full((8, 1), np.nan)) == 0


def test_combination_is_exact_for_independent_p_values():
    rng = np.random.default_rng(5)
    assert uniform([combined(list(rng.random(20))) for _ in range(SEEDS)]) > 1e-4
    assert combined([]) == 1
    assert combined([1.0]) == 1
    assert combined([1e-20, 0.5]) == pytest.approx(2e-20)


@pytest.mark.slow
def test_the_tail_of_a_skewed_mean_is_as_rare_as_it_says():
    """Means of 256 exponentials: of 400,000 p-values, those below 1e-4 are at most 80."""
    rng = np.random.default_rng(6)
    x = rng.gamma(256, 1 / 256, (400_000, 64)) - 1
    t = x.mean(1) / x.std(1, ddof=1) * 8
    below = int((2 * stats.t.sf(np.abs(t), 63) < 1e-4).sum())
    assert 10 <= below <= 80
