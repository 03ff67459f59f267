"""The closed form of the best linear Gaussian VAE is the likelihood of a Gaussian."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks.linear_optimum import NOISE, optimum


@pytest.mark.parametrize("mean", [True, False])
def test_it_is_the_density_of_the_gaussian_with_the_noise_for_its_least_variance(mean):
    random = np.random.default_rng(0)
    mix = random.normal(size=(6, 6)) * [2.0, 1.5, 1.0, 0.3, 0.2, 0.1]
    train, test = (random.normal(size=(n, 6)) @ mix.T + 1 for n in (4000, 500))
    used, nats = optimum(train, test, mean=mean)

    centre = train.mean(0) if mean else np.zeros(6)
    values, vectors = np.linalg.eigh((train - centre).T @ (train - centre) / len(train))
    covariance = vectors @ np.diag(np.maximum(values, NOISE)) @ vectors.T
    density = multivariate_normal(centre, covariance).logpdf(test).mean()
    assert nats == pytest.approx(-density - 3 * math.log(2 * math.pi * NOISE), abs=1e-9)
    assert used == (values > NOISE).sum() and 0 < used < 6


def test_another_noise_direction_is_no_better():
    random = np.random.default_rng(1)
    train = random.normal(size=(5000, 4)) * [3.0, 1.0, 0.4, 0.2]
    best = optimum(train, train, mean=True)[1]
    for scale in (0.8, 0.95, 1.05, 1.2):
        covariance = np.diag(np.maximum([9.0 * scale, 1.0, NOISE, NOISE], NOISE))
        density = multivariate_normal(train.mean(0), covariance).logpdf(train).mean()
        assert -density - 2 * math.log(2 * math.pi * NOISE) > best - 1e-9
