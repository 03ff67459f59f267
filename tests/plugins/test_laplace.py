"""The Laplace posterior: its KL to the normal prior, and the moments of its heads."""

from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad
from torch.distributions import kl_divergence
from vaebench_plugins.laplace import LaplacePosterior


@pytest.mark.parametrize("prior", ["normal", "laplace"])
def test_kl_is_that_of_the_densities(prior: str) -> None:
    torch.manual_seed(0)
    made = LaplacePosterior(3, 4, prior).double()
    q, p = made(3 * torch.randn(1, 4).double()), made.prior()
    total = 0.0
    for d in range(3):
        each, prior = q.base_dist, p.base_dist

        def integrand(z: float, d: int = d, each: object = each, prior: object = prior) -> float:
            at = torch.full((1, 3), z, dtype=torch.float64)
            log_q = each.log_prob(at)[0, d]  # type: ignore[attr-defined]
            log_p = prior.log_prob(at[0])[d]  # type: ignore[attr-defined]
            return (log_q.exp() * (log_q - log_p)).item()

        centre = each.loc[0, d].item()
        kinks = sorted({centre - 60, centre, 0.0, centre + 60})
        for low, high in pairwise(kinks):
            total += quad(integrand, low, high, epsabs=1e-10, limit=200)[0]

    assert kl_divergence(q, p).item() == pytest.approx(total, rel=1e-7)


def test_has_the_moments_of_the_gaussian_with_the_same_heads() -> None:
    made = LaplacePosterior(3, 4)
    h = torch.randn(5, 4)
    q, gaussian = made(h), super(LaplacePosterior, made).forward(h)

    torch.testing.assert_close(q.mean, gaussian.mean)
    torch.testing.assert_close(q.variance, gaussian.variance)


def test_the_prior_is_one_of_two() -> None:
    draws = LaplacePosterior(2, 4, "laplace").prior().sample(torch.Size([200_000]))
    torch.testing.assert_close(draws.abs().mean(0), torch.ones(2), atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="normal or laplace, not 'flat'"):
        LaplacePosterior(2, 4, "flat")
