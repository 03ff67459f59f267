"""Mixtures as priors: their density and draws, and the evidence that they are trained to reach."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)
from torch.optim import Adam
from vaebench_plugins.mixture_prior import GaussianMixture, MixturePrior

from vaebench import Gaussian, Posterior, elbo
from vaebench.evaluation import ais
from vaebench.models.draw import draw
from vaebench.models.shared import stand_ins
from vaebench.models.variant import informed
from vaebench.registry.catalogue import catalogue

WEIGHT = torch.tensor([[1.0, 0.4], [-0.3, 1.2], [0.8, 0.5]], dtype=torch.float64)
NOISE = 0.3


def known() -> GaussianMixture:
    """Three components of unlike weights, places and scales."""
    logits = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    loc = torch.tensor([[-2.0, 0.0], [1.5, 1.5], [1.0, -2.0]], dtype=torch.float64)
    scale = torch.tensor([[0.5, 0.8], [0.6, 0.4], [0.9, 0.5]], dtype=torch.float64)
    return GaussianMixture(logits, Independent(Normal(loc, scale), 1))


def evidence(prior: MixtureSameFamily, x: Tensor) -> Tensor:
    """log p(x) (N,) of x = W z + noise (N, 3), which is a mixture of Gaussians again."""
    each = prior.component_distribution
    covariance = WEIGHT @ torch.diag_embed(each.variance) @ WEIGHT.T
    covariance = covariance + NOISE * torch.eye(3, dtype=x.dtype)
    parts = MultivariateNormal(each.mean @ WEIGHT.T, covariance).log_prob(x[:, None])
    return (parts + prior.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)


def log_likelihood(x: Tensor):
    """log p(x|z) (K, N) as a function of z (K, N, 2)."""

    def of(z: Tensor) -> Tensor:
        law = Normal(z.double() @ WEIGHT.T, math.sqrt(NOISE))
        return law.log_prob(x).sum(-1)

    return of


def observed(prior: MixtureSameFamily, count: int) -> Tensor:
    """x (N, 3) of the model."""
    z = prior.sample((count,))
    return z @ WEIGHT.T + math.sqrt(NOISE) * torch.randn(count, 3, dtype=z.dtype)


def test_is_torch_s_mixture_with_draws_of_its_own() -> None:
    torch.manual_seed(0)
    mine = known()
    theirs = MixtureSameFamily(
        Categorical(logits=mine.mixture_distribution.logits), mine.component_distribution
    )
    z = mine.sample((40_000,))
    assert z.shape == (40_000, 2) and mine.sample().shape == (2,)
    assert mine.sample((3, 4)).shape == (3, 4, 2)
    torch.testing.assert_close(mine.log_prob(z), theirs.log_prob(z), rtol=0, atol=0)
    for power in (1, 2):
        expected = theirs.mean if power == 1 else theirs.variance + theirs.mean.square()
        values = z.pow(power)
        assert ((values.mean(0) - expected).abs() < 4 * values.std(0) / 200).all()
    share = (mine.component_distribution.log_prob(z[:, None]).argmax(-1) == 2).double().mean()
    assert 0.17 < share < 0.23


def test_starts_with_components_apart_and_a_variance_near_one() -> None:
    torch.manual_seed(0)
    prior = MixturePrior(3, 5, components=2000).prior()
    assert (prior.variance - 1).abs().max() < 0.1
    assert prior.component_distribution.mean.std(0).min() > 0.6
    alone = MixturePrior(3, 5, components=1).prior()
    z = torch.randn(10, 3)
    normal = Independent(Normal(torch.zeros(3), 1.0), 1)
    torch.testing.assert_close(alone.log_prob(z), normal.log_prob(z))


def test_without_a_component_it_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one component"):
        MixturePrior(2, 3, components=0)


def test_annealing_finds_the_exact_evidence() -> None:
    torch.manual_seed(1)
    prior = known()
    x = observed(prior, 4)
    found = ais(log_likelihood(x), prior, batch=4, chains=64)
    error = (found.log_likelihood - evidence(prior, x)).abs()
    assert (error < 4 * found.se).all()


def encoder() -> nn.Sequential:
    """x (N, 3) to features (N, 64)."""
    layers = [nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
    return nn.Sequential(*layers).double()


def trained(posterior: Posterior, steps: int = 600, lr: float = 0.01) -> Distribution:
    """The prior that the ELBO of data of the known mixture, seen through W, has taught."""
    network = encoder()
    optimiser = Adam([*network.parameters(), *posterior.parameters()])
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        x = observed(known(), 256)
        table = draw(posterior(network(x)), posterior.prior(), log_likelihood(x), 1)
        optimiser.zero_grad()
        (-elbo(table).mean()).backward()
        optimiser.step()
    return posterior.prior()


def by_quadrature(prior: Distribution, x: Tensor) -> Tensor:
    """log p(x) (N,) for any prior of two dimensions."""
    axis, cell = torch.linspace(-7, 7, 201, dtype=torch.float64), 14 / 200
    nodes = torch.cartesian_prod(axis, axis)
    log_p = prior.log_prob(nodes)[:, None] + 2 * math.log(cell)
    parts = [(log_likelihood(some)(nodes[:, None]) + log_p).logsumexp(0) for some in x.split(100)]
    return torch.cat(parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "nats"),
    [("mixture-prior[components=8]", 0.03), ("vampprior[components=8]", 0.03), ("flow-prior", 0.1)],
)
def test_learned_priors_reach_the_exact_evidence_of_a_known_mixture(name: str, nats: float) -> None:
    torch.manual_seed(3)
    posterior = informed(catalogue().variant(name), **stand_ins(64)).posterior(2, 64)
    prior = trained(posterior.double())
    torch.manual_seed(9)
    x = observed(known(), 600)
    exact = evidence(known(), x)
    with torch.no_grad():
        lost = exact - by_quadrature(prior, x)
        # What training has to gain: N(0, I) in the prior's place.
        normal = exact - by_quadrature(Gaussian(2, 64).double().prior(), x)
    error = lost.std() / math.sqrt(len(x))
    assert normal.mean() > 0.8
    assert -4 * error < lost.mean() < nats
