"""Two layers upwards: density is the product of its parts, and the exact q gives the evidence."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from vaebench_plugins.two_layers import TwoLayers, Upwards, networks, vaebench_variants

from tests.cells import cell, digits
from vaebench import testing
from vaebench.models.draw import draw
from vaebench.training.build import build

PLAIN, MANY = vaebench_variants()


def normal(loc: torch.Tensor, variance: float) -> Independent:
    return Independent(Normal(loc, math.sqrt(variance)), 1)


def test_with_the_exact_posterior_upwards_every_weight_is_the_evidence() -> None:
    # z2 ~ N(0, 1), z1 ~ N(z2, 1) twice, x ~ N(z1, 1), so that q(z2|z1) = N(Σ z1 / 3, 1 / 3).
    x, cov = torch.tensor([0.8, -0.3]).double(), torch.eye(2).double() + 1
    both = torch.distributions.MultivariateNormal
    post = (cov.inverse() + torch.eye(2)).inverse()
    q = Upwards(
        {
            "z1": (2, lambda: both((post @ x).expand(1, 2), post)),
            "z2": (1, lambda z1: normal(z1.sum(-1, keepdim=True) / 3, 1 / 3)),
        },
        (1,),
    )
    z = q.rsample((50,))
    z2, z1 = z.split([1, 2], -1)
    assert torch.equal(q.parts(z)["z1"], z1) and torch.equal(q.parts(z)["z2"], z2)
    log_p = normal(torch.zeros(1).double(), 1).log_prob(z2) + normal(
        z2.expand(50, 1, 2), 1
    ).log_prob(z1)
    log_w = log_p + normal(z1, 1).log_prob(x) - q.log_prob(z)
    evidence = both(torch.zeros(2).double(), cov + torch.eye(2)).log_prob(x)
    torch.testing.assert_close(log_w, evidence.expand_as(log_w), atol=1e-10, rtol=0)
    assert torch.equal(q.expand((4,)).log_prob(z), q.log_prob(z).expand(50, 4))


def test_the_decoder_sees_the_lower_layer_alone() -> None:
    encoder, decoder = networks(9, 7, shape=(1, 8, 8), outputs=2, given=0)
    z = torch.randn(4, 9)
    moved = z.clone()
    moved[:, :3] += 1
    assert torch.equal(decoder(z), decoder(moved)) and decoder(z).shape == (4, 2, 8, 8)
    moved[:, 3] += 1
    assert not torch.isclose(decoder(z), decoder(moved)).any()
    assert encoder(torch.rand(4, 1, 8, 8)).shape == (4, 7) == (4, encoder.features)


def test_prior_and_posterior_mean_the_same_by_each_part_of_z() -> None:
    torch.manual_seed(0)
    posterior, h = TwoLayers(9, 5, width=6).double(), torch.randn(2, 5).double()
    made = draw(posterior(h), posterior.prior(), lambda z: 0 * z.sum(-1), 7)
    z2, z1 = made.z.split([3, 6], -1)
    down = Independent(Normal(torch.zeros(3).double(), 1.0), 1).log_prob(z2)
    torch.testing.assert_close(made.log_pz, down + posterior.p1(z2).log_prob(z1))
    up = posterior.q1(h).log_prob(z1) + posterior.q2(z1).log_prob(z2)
    torch.testing.assert_close(made.log_qz, up)
    torch.testing.assert_close(made.kl, (made.log_qz - made.log_pz).mean(0))


def test_is_trained_with_the_bound_of_k_draws() -> None:
    resolved = build(cell(latent=6), MANY, digits())
    made = resolved.model.draw(torch.rand(3, 1, 8, 8).round(), MANY.samples)
    value = made.log_w.logsumexp(0) - math.log(5)
    torch.testing.assert_close(resolved.variant.objective(made), value)


def test_too_few_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="3 latent dimensions or more, not 2"):
        TwoLayers(2, 5)


@pytest.mark.parametrize("name", ["blocks", "parameters", "dtypes", "checkpoints", "copies"])
def test_conforms(name: str) -> None:
    next(check for check in testing.checks() if check.name == name)(PLAIN)
