import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Laplace, MultivariateNormal, Normal
from vaebench_plugins.correlated import FullPosterior

from tests.evaluation.models import LinearGaussian, standard
from vaebench import Gaussian
from vaebench.evaluation.functional.refine import ARRIVED, location_scale, refine, refine_features


def encoder(batch, features):
    """A posterior that nobody would be content with."""
    loc = torch.full((batch, features), 0.5, dtype=torch.float64)
    return Independent(Normal(loc, 0.7 * torch.ones_like(loc)), 1)


@pytest.mark.parametrize("latents", [1, 3])
def test_the_best_of_the_family_is_the_mean_field_optimum(latents):
    # For a Gaussian posterior with precision P the best diagonal Gaussian has the variances
    # 1 / P_dd, and lies 1/2 (sum_d log P_dd - log det P) below the evidence.
    torch.manual_seed(0)
    model = LinearGaussian(latents, 8, 0.8)
    x = model.images(5)
    precision = model.posterior(x).precision_matrix
    precision = precision if precision.ndim == 2 else precision[0]
    gap = 0.5 * (precision.diagonal().log().sum() - torch.linalg.slogdet(precision).logabsdet)
    found = refine(
        encoder(5, latents), standard(latents), model.log_likelihood(x), steps=400, draws=4096
    )
    expected = model.log_evidence(x) - gap
    torch.testing.assert_close(found.best, expected, atol=0.15, rtol=0)
    assert abs((found.best - expected).mean()) < 0.05
    assert gap > 0.01 or latents == 1
    assert (found.best > found.encoder + 0.5).all()


def test_nothing_is_lost_where_nothing_is_to_be_gained():
    torch.manual_seed(0)
    model = LinearGaussian(1, 8, 0.8)
    x = model.images(20)
    true = model.posterior(x)
    q = Independent(Normal(true.mean, true.variance.sqrt()), 1)
    found = refine(q, standard(1), model.log_likelihood(x), steps=20, rate=1.0)
    torch.testing.assert_close(found.best, found.encoder, atol=0.1, rtol=0)


@pytest.mark.parametrize("stddev", [0.5, 0.1, 0.01, 0.003])
@pytest.mark.parametrize("distance", [0.0, 0.5, 2.0])
def test_a_posterior_of_the_family_is_reached_from_anywhere(stddev, distance):
    """Diagonal linear Gaussian models, where the best of the family is the posterior itself."""
    torch.manual_seed(0)
    noise = 1 / math.sqrt(1 / stddev**2 - 1)
    z = torch.randn(8, 6)
    x = z + noise * torch.randn(8, 6)
    evidence = Normal(0.0, math.sqrt(1 + noise**2)).log_prob(x).sum(-1)
    loc = x * stddev**2 / noise**2 + distance * torch.randn(8, 6).sign()
    found = refine(
        Independent(Normal(loc, torch.ones(8, 6)), 1),
        Independent(Normal(torch.zeros(6), torch.ones(6)), 1),
        lambda z: Normal(z, noise, validate_args=False).log_prob(x).sum(-1),
        draws=1024,
    )
    assert (evidence - found.best).mean() == pytest.approx(0, abs=0.05)
    assert (found.gain < ARRIVED).all()


def test_another_family_reaches_its_own_optimum():
    """The best Laplace distribution for a Gaussian, by a search over its scale."""
    noise, x = 0.01, torch.randn(6, 1)
    s2 = 1 / (1 + 1 / noise**2)
    evidence = Normal(0.0, math.sqrt(1 + noise**2)).log_prob(x).sum(-1)
    found = refine(
        Independent(Laplace(torch.zeros(6, 1), torch.ones(6, 1)), 1),
        Independent(Normal(torch.zeros(1), torch.ones(1)), 1),
        lambda z: Normal(z, noise, validate_args=False).log_prob(x).sum(-1),
        draws=4096,
    )
    b = torch.linspace(0.2, 2, 2000) * math.sqrt(s2)
    divergence = (b**2 / s2 + 0.5 * math.log(2 * math.pi * s2) - (2 * b).log() - 1).min()
    assert (evidence - found.best).mean() == pytest.approx(divergence.item(), abs=0.03)


def test_a_climb_that_has_not_arrived_says_so():
    """A long bent valley, whose curvature leads nowhere, and hardly any steps."""

    def valley(z):
        return -200 * (z[..., 0] - z[..., 1] ** 2).square() - 0.5 * (z[..., 1] - 6).square()

    q = Independent(Normal(torch.full((4, 2), -2.0), torch.full((4, 2), 0.3)), 1)
    p = Independent(Normal(torch.zeros(2), torch.full((2,), 30.0)), 1)
    torch.manual_seed(0)
    assert (refine(q, p, valley, steps=10, rounds=2).gain > ARRIVED).all()


def test_families_are_told_by_their_parameters():
    zeros = torch.zeros(2, 3)
    build = location_scale(Independent(Laplace(zeros, zeros + 1), 1))
    assert isinstance(build(zeros, zeros + 2).base_dist, Laplace)
    assert build(zeros, zeros + 2).variance[0, 0] == 8
    assert location_scale(MultivariateNormal(zeros, torch.eye(3))) is None
    assert location_scale(Normal(zeros, zeros + 1)) is None
    assert refine(MultivariateNormal(zeros, torch.eye(3)), standard(3), lambda z: z.sum(-1)) is None


def features_of(x, count=24):
    """Features (B, F) that say nothing of the images yet."""
    return 0.3 * torch.randn(len(x), count, dtype=torch.float64)


@pytest.mark.parametrize("family", [Gaussian, pytest.param(FullPosterior, marks=pytest.mark.slow)])
def test_the_best_features_are_those_of_the_exact_optimum(family):
    """The best diagonal Gaussian of a correlated posterior, and the posterior itself."""
    torch.manual_seed(0)
    model = LinearGaussian(3, 8, 0.8)
    x = model.images(6)
    precision = model.posterior(x).precision_matrix[0]
    gap = 0.5 * (precision.diagonal().log().sum() - torch.linalg.slogdet(precision).logabsdet)
    posterior = family(3, 24).double()
    h, p, log_likelihood = features_of(x), standard(3), model.log_likelihood(x)
    found = refine_features(posterior, h, p, log_likelihood, draws=1024)
    expected = gap.item() if family is Gaussian else 0.0
    assert gap > 0.02
    lost = model.log_evidence(x) - found.best
    assert lost.mean() == pytest.approx(expected, abs=0.02)
    assert (found.gain < ARRIVED).all() and (found.best > found.encoder + 0.2).all()
    if family is Gaussian:
        same = refine(posterior(h), p, log_likelihood, draws=1024)
        torch.testing.assert_close(found.best, same.best, atol=0.05, rtol=0)


def test_features_without_a_differentiable_draw_are_not_searched():
    h = torch.zeros(2, 4)

    def law(h):
        return Independent(Bernoulli(logits=h), 1)

    assert refine_features(law, h, standard(4), lambda z: z.sum(-1)) is None

    def still(h):
        return Independent(Normal(h.detach(), 1.0), 1)

    assert refine_features(still, h, standard(4), lambda z: z.sum(-1)) is None
