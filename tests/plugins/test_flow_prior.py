"""The flow prior: inversion, density, draws, and the evidence by annealing through its map."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import Independent, Normal
from vaebench_plugins.flow_prior import FlowPrior

from vaebench.evaluation import ais
from vaebench.evaluation.annealing.latent_space import latent_space


def posterior(features: int, layers: int = 4, gain: float = 0.4) -> FlowPrior:
    """A flow far from the identity, in float64."""
    torch.manual_seed(features)
    made = FlowPrior(features, 5, layers=layers, width=16).double()
    with torch.no_grad():
        for layer in made.layers:
            layer.out.weight.normal_(std=gain)
            layer.out.bias.normal_(std=gain)
    return made


def standard(features: int) -> Independent:
    return Independent(Normal(torch.zeros(features).double(), 1.0), 1)


@pytest.mark.parametrize("features", [1, 2, 5, 6])
def test_density_is_that_of_the_map(features: int) -> None:
    p = posterior(features).prior()
    for u in torch.randn(4, features).double():
        by_u = jacobian(p.from_normal, u)
        expected = standard(features).log_prob(u) - torch.linalg.slogdet(by_u)[1]
        torch.testing.assert_close(p.log_prob(p.from_normal(u)), expected)


def test_density_integrates_to_one() -> None:
    p = posterior(2, layers=3, gain=0.25).prior()
    axis = torch.linspace(-20, 20, 501, dtype=torch.float64)
    with torch.no_grad():
        mass = p.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (40 / 500) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-5)


def test_draws_are_mapped_normals() -> None:
    p = posterior(3).prior()
    torch.manual_seed(1)
    z = p.sample((5, 2))
    torch.manual_seed(1)
    assert torch.equal(z, p.from_normal(torch.randn(5, 2, 3, dtype=torch.float64)))
    assert p.rsample((4,)).requires_grad and not z.requires_grad


@pytest.mark.parametrize("layers", [0, 6])
def test_starts_as_the_standard_normal(layers: int) -> None:
    p = FlowPrior(4, 5, layers=layers).double().prior()
    z = torch.randn(7, 4).double()
    assert torch.equal(p.log_prob(z), standard(4).log_prob(z))


def test_every_dimension_moves_and_both_halves_see_each_other() -> None:
    p = posterior(4, layers=2).prior()
    by_u = jacobian(p.from_normal, torch.randn(4).double())
    assert (by_u[:, 0] != 0).sum() > 1 and (by_u[:, 1] != 0).sum() > 1
    assert (by_u.diagonal() != 1).all()


def test_annealing_through_the_map_finds_the_evidence() -> None:
    """x ~ N(W z, .3 I) under a bent prior, against quadrature."""
    p = posterior(2, layers=2, gain=0.3).prior()
    weight = torch.tensor([[1.0, 0.4], [-0.3, 1.2], [0.8, 0.5]], dtype=torch.float64)
    torch.manual_seed(5)
    with torch.no_grad():
        x = p.sample((4,)) @ weight.T + math.sqrt(0.3) * torch.randn(4, 3).double()
    assert latent_space(p).to_z == p.from_normal

    def log_px(z: Tensor) -> Tensor:
        return Normal(z.double() @ weight.T, math.sqrt(0.3)).log_prob(x).sum(-1)

    axis, cell = torch.linspace(-10, 10, 301, dtype=torch.float64), 20 / 300
    nodes = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_p = p.log_prob(nodes)[:, None] + 2 * math.log(cell)
        exact = (log_px(nodes[:, None]) + log_p).logsumexp(0)
    found = ais(log_px, p, batch=4, chains=64, target=0.02)
    assert ((found.log_likelihood - exact).abs() < 4 * found.se).all()


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="layers >= 0 and width >= 1"):
        FlowPrior(2, 3, layers=-1)
