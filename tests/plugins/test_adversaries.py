"""Second players on codes: the optimum of a discriminator, and the variants that use one."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.nn.functional import softplus
from vaebench_plugins.adversaries import (
    Aggregate,
    Contrast,
    Implicit,
    TotalCorrelation,
    reconstruction,
)

from tests.cells import cell, digits
from vaebench import Gaussian, Posterior, Rival
from vaebench.models.draw import Draw, draw
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit

ROOT = torch.tensor([[1.0, 0.0], [0.8, 0.6]])


def table(z: Tensor, h: Tensor | None = None) -> Draw:
    """A draw whose codes are z (B, D)."""
    p = Independent(Normal(torch.zeros(z.shape[-1]), 1.0), 1)
    q = Independent(Normal(z, torch.ones_like(z)), 1)
    return draw(q, p, lambda z: -z.square().sum(-1), 1)._replace(z=z[None], h=h)


def correlated(count: int) -> Tensor:
    """Codes (N, 2) of N(0, ρ = .8)."""
    return torch.randn(count, 2) @ ROOT.T


def train(rival: Rival, draws, steps: int = 300) -> None:
    optimiser = torch.optim.Adam(rival.parameters(), 1e-2, betas=rival.betas)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        optimiser.zero_grad()
        rival.loss(draws()).mean().backward()
        optimiser.step()


def test_the_optimum_for_correlated_codes_is_their_density_over_that_of_their_dimensions():
    torch.manual_seed(0)
    rival = TotalCorrelation(2, weight=1.0, width=32)
    train(rival, lambda: table(correlated(256)))
    z = correlated(4000)
    truth = MultivariateNormal(torch.zeros(2), scale_tril=ROOT).log_prob(z)
    truth = truth - Normal(0.0, 1.0).log_prob(z).sum(-1)
    with torch.no_grad():
        found = rival.term(table(z))
    assert (found - truth).abs().mean() < 0.1
    assert found.mean().item() == pytest.approx(0.510825624, abs=0.06)
    assert truth.mean().item() == pytest.approx(-math.log(0.36) / 2, abs=0.05)


def test_the_optimum_of_the_contrast_is_log_q_less_log_p():
    """Codes N(h, .25) of an image with one feature h: T(h, z) is a parabola in z for each h."""
    torch.manual_seed(1)
    rival = Contrast(1, width=32, context=1)

    def some(count: int = 256) -> Draw:
        h = torch.randn(count, 1)
        return table(h + 0.5 * torch.randn(count, 1), h)

    train(rival, some)
    at = some(4000)
    z, h = at.z[0, :, 0], at.h[:, 0]
    truth = Normal(h, 0.5).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    with torch.no_grad():
        found = rival.term(at)
    assert (found - truth).abs().mean() < 0.15
    assert found.mean().item() == pytest.approx(math.log(2) - 0.5 + 0.25 / 2 + 0.5, abs=0.1)


def test_the_adversarial_autoencoder_pays_for_codes_that_tell_themselves_from_the_prior():
    """Codes of N((1, 0), I): the optimal logit is log p(z) - log q(z) = 1/2 - z_1."""
    torch.manual_seed(2)
    rival, shift = Aggregate(2, weight=3.0, width=32), torch.tensor([1.0, 0.0])
    train(rival, lambda: table(shift + torch.randn(256, 2)))
    z = shift + torch.randn(4000, 2)
    truth = 3 * softplus(z[:, 0] - 0.5)
    with torch.no_grad():
        found = rival.term(table(z))
        half = rival.term(table(z)._replace(kl_weight=0.5))
    assert (found - truth).abs().mean() < 0.1 * truth.mean()
    torch.testing.assert_close(half, found / 2)


def test_the_contrast_is_held_against_the_posterior_and_not_against_the_encoder():
    h = torch.randn(5, 3, requires_grad=True)
    z = torch.randn(5, 2, requires_grad=True)
    rival = Contrast(2, width=8, context=3)
    of_h, of_z = torch.autograd.grad(rival.term(table(z, h)).sum(), [h, z], allow_unused=True)
    assert of_h is None and (of_z != 0).all()
    with pytest.raises(ValueError, match=r"Draw\.h"):
        rival.term(table(z))


def test_one_code_cannot_be_exchanged():
    with pytest.raises(ValueError, match="two or more"):
        TotalCorrelation(2).loss(table(torch.zeros(1, 2)))


def test_exchanged_codes_keep_the_values_of_each_dimension():
    seen = []
    rival = TotalCorrelation(2, width=4)
    rival.logit.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    z = correlated(50)
    rival.loss(table(z))
    own, exchanged = seen
    assert torch.equal(own, z) and not torch.equal(exchanged, z)
    assert torch.equal(exchanged.sort(0).values, z.sort(0).values)
    assert not torch.equal(exchanged[:, 0].argsort(), exchanged[:, 1].argsort())


def test_without_its_network_the_implicit_posterior_is_the_gaussian():
    torch.manual_seed(3)
    posterior, h = Implicit(2, 5), torch.randn(4, 5)
    for parameter in posterior.bend.parameters():
        torch.nn.init.zeros_(parameter)
    q = posterior(h)
    torch.manual_seed(4)
    mine = q.rsample((3,))
    torch.manual_seed(4)
    torch.testing.assert_close(mine, posterior.gaussian(h).rsample((3,)))
    with pytest.raises(NotImplementedError):
        q.log_prob(mine)


def weights(plugin: str) -> dict[str, Tensor]:
    made = build(cell(plugin=plugin, epochs=1), catalogue().variant(plugin), digits())
    fit(made, lambda row, validated: None)
    return made.model.state_dict()


def test_factor_vae_of_no_weight_is_the_gaussian_to_the_bit():
    plain, member = weights("gaussian"), weights("factor-vae[weight=0]")
    assert all(torch.equal(member[name], value) for name, value in plain.items())


@pytest.mark.parametrize("name", ["factor-vae", "aae", "avb"])
def test_options_of_a_rival_are_options_of_its_variant(name):
    variant = catalogue().variant(f"{name}[width=8]")
    made = build(cell(plugin=variant.name), variant, digits())
    assert isinstance(made.rival, Rival) and isinstance(made.model.posterior, Posterior)
    assert made.rival.logit[0].out_features == 8
    assert isinstance(made.model.posterior, Implicit if name == "avb" else Gaussian)
    q = table(torch.zeros(3, 2))
    assert torch.equal(reconstruction(q), q.log_px[0])
