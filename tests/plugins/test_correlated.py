"""Gaussians with correlations: covariance, KL and density against torch's own."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from vaebench_plugins.correlated import FullPosterior, HouseholderPosterior

from vaebench import Gaussian, Posterior
from vaebench.models.distributions import closed_kl

KINDS = {"full": FullPosterior, "householder": HouseholderPosterior}


def made(kind: str, features: int = 5, gain: float = 3.0) -> tuple[Posterior, Tensor]:
    torch.manual_seed(features)
    return KINDS[kind](features, 6).double(), gain * torch.randn(4, 6).double()


def covariance(kind: str, posterior: Posterior, h: Tensor) -> MultivariateNormal:
    """q as torch's Gaussian, its covariance from the linear map of the noise."""
    q = posterior(h)
    if kind == "full":
        return MultivariateNormal(q.mean, q.scale_tril @ q.scale_tril.mT)
    turned = q.reflected(torch.eye(5).double().expand(4, 5, 5).movedim(1, 0), q.order)
    turned = turned.movedim(0, -1)
    torch.testing.assert_close(turned @ turned.mT, torch.eye(5).double().expand(4, 5, 5))
    scaled = turned * q.base.stddev[:, None]
    return MultivariateNormal(q.mean, scaled @ scaled.mT)


@pytest.mark.parametrize("kind", KINDS)
def test_density_moments_and_kl_are_those_of_torch(kind: str) -> None:
    posterior, h = made(kind)
    q, expected = posterior(h), covariance(kind, posterior, h)
    z = q.rsample((7,))
    torch.testing.assert_close(q.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(q.variance, expected.variance)
    standard = MultivariateNormal(torch.zeros(5).double(), torch.eye(5).double())
    kl = kl_divergence(q, posterior.prior())
    torch.testing.assert_close(kl, kl_divergence(expected, standard))
    away = expected.covariance_matrix - torch.diag_embed(expected.variance)
    assert away.abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_no_closed_kl_to_another_prior(kind: str) -> None:
    posterior, h = made(kind)
    for loc, scale in ((0.5, 1.0), (0.0, 2.0)):
        p = Independent(Normal(torch.full((5,), loc), scale), 1)
        assert closed_kl(posterior(h), p) is None


def test_draws_of_reflections_have_their_covariance() -> None:
    posterior, h = made("householder")
    z = posterior(h).rsample((40_000,))
    expected = covariance("householder", posterior, h)
    for row in range(4):
        off = torch.cov(z[:, row].T) - expected.covariance_matrix[row]
        scale = expected.stddev[row]
        assert (off / (scale[:, None] * scale)).abs().max() < 5 * (2 / 40_000) ** 0.5


def test_correlations_are_free_in_few_dimensions_and_bounded_in_many() -> None:
    posterior = FullPosterior(2, 1)
    with torch.no_grad():
        posterior.below.weight.fill_(1e6)
        posterior.below.bias.zero_()
    cov = posterior(torch.ones(1, 1)).covariance_matrix[0]
    assert cov[0, 1] / (cov[0, 0] * cov[1, 1]).sqrt() > 0.9
    large = FullPosterior(128, 4)(1e6 * torch.randn(2, 4))
    unit = large.scale_tril / large.scale_tril.diagonal(dim1=-2, dim2=-1)[..., None]
    assert (torch.linalg.norm(unit.tril(-1), dim=(-2, -1)) <= 2 * 128**0.5 + 1e-3).all()


def test_without_correlations_it_is_the_diagonal_gaussian() -> None:
    posterior, gaussian = FullPosterior(3, 4), Gaussian(3, 4)
    gaussian.load_state_dict(posterior.base.state_dict())
    with torch.no_grad():
        for parameter in posterior.below.parameters():
            parameter.zero_()
    h, z = torch.randn(2, 4), torch.randn(2, 3)
    torch.testing.assert_close(posterior(h).log_prob(z), gaussian(h).log_prob(z))
    torch.testing.assert_close(
        kl_divergence(posterior(h), posterior.prior()), kl_divergence(gaussian(h), gaussian.prior())
    )


def test_there_is_a_reflection() -> None:
    with pytest.raises(ValueError, match="steps >= 1"):
        HouseholderPosterior(3, 4, 0)
