"""Estimates against log p(x) in closed form and by quadrature."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    Uniform,
)
from torch.nn.functional import softplus

from tests.evaluation.models import (
    LinearGaussian,
    LogLikelihood,
    evidence_on_grid,
    normal_log_density,
    standard,
)
from vaebench.evaluation import ais

F64 = torch.float64


def agrees(found, truth: Tensor, error: float = 0.1) -> None:
    off = found.log_likelihood - truth
    assert found.log_likelihood.dtype == F64
    assert off.abs().max() < 5 * found.se.max() + 1e-6, (off, found.se)
    assert off.abs().mean() < error, off.abs().mean()


@pytest.mark.parametrize("kernel", ["hmc", "hais"])
@pytest.mark.parametrize("latents", [5, 20, 50])
def test_probabilistic_pca(latents: int, kernel: str) -> None:
    model = LinearGaussian(latents, 60, sigma=0.3)
    x = model.images(8)
    found = ais(model.log_likelihood(x), standard(latents), batch=8, kernel=kernel)
    agrees(found, model.log_evidence(x), error=0.05)
    assert (found.evaluations <= 6000).all() and found.trusted.all()


def test_known_value_of_the_reference() -> None:
    w = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 2.0]], dtype=F64)
    x = torch.tensor([[1.0, -1.0, 2.0]], dtype=F64)
    found = ais(
        LogLikelihood(x, lambda x, z: normal_log_density(x - z @ w, math.sqrt(0.5))),
        standard(2),
        batch=1,
        target=0.005,
        budget=20_000,
    )
    assert found.log_likelihood.item() == pytest.approx(-7.862598628595617, abs=0.02)


@pytest.mark.parametrize("start", ["prior", "proposal", "laplace-diagonal"])
@pytest.mark.parametrize("kernel", ["hmc", "hais"])
def test_unbiased_from_every_start(start: str, kernel: str) -> None:
    model = LinearGaussian(3, 8, sigma=1.0)
    x = model.images(4)
    q = model.posterior(x)
    off = Independent(Normal(q.mean + 0.3 * q.stddev, 1.3 * q.stddev), 1)
    found = ais(
        model.log_likelihood(x),
        standard(3),
        batch=4,
        proposal=off,
        start=start,
        kernel=kernel,
        chains=20_000,
        steps=8,
    )
    assert (found.se < 0.05).all()
    assert ((found.log_likelihood - model.log_evidence(x)).abs() < 4.5 * found.se).all()


def mixture_prior() -> MixtureSameFamily:
    loc = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, -3.0]], dtype=F64)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
    return MixtureSameFamily(
        Categorical(weights), Independent(Normal(loc, torch.full_like(loc, 0.5)), 1)
    )


@pytest.mark.parametrize("start", ["laplace", "prior"])
def test_mixture_prior(start: str) -> None:
    x = torch.tensor([[0.2, -0.3], [1.5, 0.5], [0.0, 4.0]], dtype=F64)
    likelihood = LogLikelihood(x, lambda x, z: normal_log_density(x - z.sin(), 0.7))
    truth = evidence_on_grid(likelihood, mixture_prior(), 3)
    found = ais(likelihood, mixture_prior(), batch=3, start=start, chains=64, steps=100)
    agrees(found, truth)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("given", ["nothing", "one mode"])
def test_two_modes_are_both_found(given: str, seed: int) -> None:
    """z and -z explain x alike; a start that knows one mode only would be off by log 2 = .69."""
    x = torch.tensor([[1.0], [2.5], [4.0]], dtype=F64)
    likelihood = LogLikelihood(x, lambda x, z: normal_log_density(x - z.square(), 0.1))
    proposal = Independent(Normal(x.sqrt(), torch.full_like(x, 0.05)), 1)
    found = ais(
        likelihood,
        standard(1),
        batch=3,
        proposal=proposal if given == "one mode" else None,
        seed=seed,
    )
    agrees(found, evidence_on_grid(likelihood, standard(1), 3), error=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_two_unlike_modes_in_two_dimensions(seed: int) -> None:
    """One mode is narrow and holds about a third of the mass of the other."""

    def density(x: Tensor, z: Tensor) -> Tensor:
        wide = normal_log_density(z - torch.tensor([1.5, 0.5], dtype=F64), 0.3)
        narrow = normal_log_density(z + torch.tensor([1.0, 1.0], dtype=F64), 0.2)
        return torch.logaddexp(wide, narrow - 1.0) + 0 * x.sum(-1)

    likelihood = LogLikelihood(torch.zeros(4, 1, dtype=F64), density)
    found = ais(likelihood, standard(2), batch=4, seed=seed, chains=64, budget=40_000)
    agrees(found, evidence_on_grid(likelihood, standard(2), 4), error=0.05)


def test_ring() -> None:
    """A posterior around which no Gaussian fits."""
    x = torch.tensor([[0.5], [1.0], [2.0]], dtype=F64)
    likelihood = LogLikelihood(
        x, lambda x, z: normal_log_density(x - z.norm(dim=-1, keepdim=True), 0.1)
    )
    found = ais(likelihood, standard(2), batch=3, chains=64, budget=40_000)
    agrees(found, evidence_on_grid(likelihood, standard(2), 3))


@pytest.mark.parametrize("start", ["laplace", "prior"])
@pytest.mark.parametrize("kernel", ["hmc", "hais"])
def test_bernoulli_decoder_with_two_latents(start: str, kernel: str) -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(2, 20, generator=generator, dtype=F64)
    second = torch.randn(20, 30, generator=generator, dtype=F64)
    x = torch.randint(0, 2, (6, 30), generator=generator).to(F64)

    def density(x: Tensor, z: Tensor) -> Tensor:
        logits = (z @ first).tanh() @ second / 3
        return (x * logits - softplus(logits)).sum(-1)

    likelihood = LogLikelihood(x, density)
    found = ais(likelihood, standard(2), batch=6, start=start, kernel=kernel, chains=64, steps=150)
    agrees(found, evidence_on_grid(likelihood, standard(2), 6), error=0.05)


class Sphere(Distribution):
    """The uniform distribution on the unit sphere in three dimensions."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(torch.Size(), torch.Size((3,)), validate_args=False)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return self.from_normal(torch.randn(*sample_shape, 3, dtype=F64))

    def log_prob(self, value: Tensor) -> Tensor:
        return value.new_full(value.shape[:-1], -math.log(4 * math.pi))

    def from_normal(self, u: Tensor) -> Tensor:
        return u / u.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("start", ["laplace", "prior"])
@pytest.mark.parametrize("concentration", [0.5, 5.0, 200.0])
def test_spherical_prior(concentration: float, start: str) -> None:
    """Quadrature: Gauss-Legendre in the cosine, the trapezoid rule around."""
    x = torch.eye(3, dtype=F64)[:2]

    def density(x: Tensor, z: Tensor) -> Tensor:
        return concentration * ((z * x).sum(-1) + 0.3 * z[..., 0] * z[..., 1])

    likelihood = LogLikelihood(x, density)

    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(200))
    angle = torch.arange(400, dtype=F64) * (2 * math.pi / 400)
    side = (1 - nodes.square()).sqrt()[:, None]
    z = torch.stack(
        [side * angle.cos(), side * angle.sin(), nodes[:, None].expand(-1, 400)], -1
    ).reshape(-1, 1, 3)
    log_weights = (weights / 800).log()[:, None].expand(-1, 400).reshape(-1, 1)
    truth = (likelihood(z.expand(-1, 2, -1)) + log_weights).logsumexp(0)
    found = ais(likelihood, Sphere(), batch=2, start=start, chains=64, budget=40_000)
    agrees(found, truth)


@pytest.mark.parametrize("start", ["laplace", "prior"])
def test_compact_prior(start: str) -> None:
    prior = Independent(Uniform(-torch.ones(1, dtype=F64), torch.ones(1, dtype=F64)), 1)
    x = torch.tensor([[0.0], [0.9], [1.3]], dtype=F64)
    likelihood = LogLikelihood(x, lambda x, z: normal_log_density(x - z, 0.2))
    normal = Normal(x[:, 0], 0.2)
    truth = ((normal.cdf(torch.ones(3)) - normal.cdf(-torch.ones(3))) / 2).log()
    agrees(ais(likelihood, prior, batch=3, start=start, chains=64), truth, error=0.05)
