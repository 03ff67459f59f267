"""Where chains start: in float64, in coordinates of a component that has chains, at the mode."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
)

from tests.evaluation.models import LogLikelihood, normal_log_density, standard
from vaebench.evaluation import ais, bdmc
from vaebench.evaluation.annealing.ais import Task
from vaebench.evaluation.annealing.latent_space import latent_space
from vaebench.evaluation.annealing.settings import Settings

F32, F64 = torch.float32, torch.float64


def shell(features: int, sigma: float, seed: int) -> LogLikelihood:
    """Images x = |z| + noise in float32: the posterior is a shell."""
    generator = torch.Generator().manual_seed(seed)
    radius = torch.randn(8, features, generator=generator).norm(dim=-1, keepdim=True)
    x = radius + sigma * torch.randn(8, 1, generator=generator)

    def density(x: Tensor, z: Tensor) -> Tensor:
        norm = z.square().sum(-1, keepdim=True).add(1e-12).sqrt()
        return normal_log_density(x - norm, sigma)

    return LogLikelihood(x, density)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("features", "sigma"), [(8, 1e-3), (8, 1e-2), (32, 1e-3)])
def test_nothing_exceeds_the_highest_density(features: int, sigma: float, seed: int) -> None:
    """p(x) is a mean of p(x|z), which is at most 1 / (sigma sqrt(2 pi))."""
    found = ais(shell(features, sigma, seed), standard(features, F32), batch=8)
    assert found.log_likelihood.max() < -math.log(sigma * math.sqrt(2 * math.pi))


def test_the_density_of_the_start_is_that_of_its_mixture() -> None:
    likelihood = shell(8, 1e-3, 0)
    with torch.no_grad():
        task = Task(likelihood, latent_space(standard(8, F32)), 8, Settings(), 0, None)
        start = task.plan(None).start
        v = start.sample(task.random("run"), 16)
        found, _ = start(v)
    u = start.whitening(v)
    parts = [
        MultivariateNormal(g.center, g.scale @ g.scale.mT, validate_args=False).log_prob(u)
        for g in start.gaussians
    ]
    parts.append(standard(8).log_prob(u))
    mixed = (torch.stack(parts) + start.share.log()[:, None]).logsumexp(0) + start.log_volume
    torch.testing.assert_close(found, mixed, rtol=0, atol=1e-3)
    gaussians = start.share[:-1]
    assert (gaussians[0] == gaussians.max(0).values).all()


@pytest.mark.parametrize(
    ("latents", "pixels", "sigma", "decay"), [(256, 256, 1e-3, 0), (64, 200, 1e-3, 3)]
)
def test_sharp_linear_models_of_many_latents(
    latents: int, pixels: int, sigma: float, decay: int
) -> None:
    """The posterior is Gaussian: Newton's step leads to its mean however far that is."""
    generator = torch.Generator().manual_seed(0)
    u, v = (
        torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=F64)).Q[:, :latents]
        for n in (pixels, latents)
    )
    w = 2 * (u * torch.logspace(0, -decay, latents, dtype=F64)) @ v.T
    x = torch.randn(4, latents, generator=generator, dtype=F64) @ w.T
    x = x + sigma * torch.randn(4, pixels, generator=generator, dtype=F64)
    covariance = w @ w.T + sigma**2 * torch.eye(pixels, dtype=F64)
    x32, w32 = x.float(), w.float()
    truth = MultivariateNormal(torch.zeros(pixels, dtype=F64), covariance).log_prob(x32.double())
    likelihood = LogLikelihood(x32, lambda x, z: normal_log_density(x - z @ w32.T, sigma))
    found = ais(likelihood, standard(latents, F32), batch=4)
    assert (found.log_likelihood - truth).abs().max() < 0.05
    assert found.trusted.all()


LOC = torch.linspace(-2, 2, 12, dtype=F64).reshape(6, 2)
SCALE = torch.linspace(0.5, 2, 12, dtype=F64).reshape(6, 2)
WEIGHTS = torch.tensor([0.3, 0.7], dtype=F64).expand(6, 2)


def of_each(images: slice) -> list[Distribution]:
    """Priors with parameters of their own for each image."""
    loc, scale = LOC[images], SCALE[images]
    heaps = Independent(Normal(torch.stack([loc, -loc], 1), scale[:, None].expand(-1, 2, -1)), 1)
    return [
        Independent(Normal(loc, scale), 1),
        MultivariateNormal(
            loc, scale_tril=torch.diag_embed(scale) + 0.3 * torch.ones(2, 2).tril(-1)
        ),
        Independent(StudentT(torch.full_like(loc, 3.0), loc, scale), 1),
        MixtureSameFamily(Categorical(WEIGHTS[images]), heaps),
    ]


@pytest.mark.parametrize("kind", range(4), ids=["normal", "correlated", "student", "mixture"])
def test_a_prior_for_each_image(kind: int) -> None:
    """The estimates of all, of chunks, and of one image after another with its prior alone."""
    x = torch.linspace(-1, 1, 12, dtype=F64).reshape(6, 2)
    likelihood = LogLikelihood(x, lambda x, z: normal_log_density(x - z, 0.5))
    prior = of_each(slice(None))[kind]
    axis = torch.linspace(-25, 25, 251, dtype=F64)
    grid = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 6, -1)
    truth = (likelihood(grid) + prior.log_prob(grid)).logsumexp(0) + 2 * math.log(0.2)
    whole = ais(likelihood, prior, batch=6)
    assert ((whole.log_likelihood - truth).abs() < 5 * whole.se + 1e-3).all()
    assert whole.se.max() < 0.15
    chunked = ais(likelihood, prior, batch=6, chunk=2)
    torch.testing.assert_close(whole.log_weights, chunked.log_weights, rtol=0, atol=1e-6)
    alone = ais(likelihood.subset(torch.tensor([0])), of_each(slice(0, 1))[kind], batch=1)
    assert alone.log_likelihood.item() == pytest.approx(truth[0].item(), abs=0.2)


def test_brackets_with_a_prior_for_each_image() -> None:
    images: list[Tensor] = []

    def simulate(z: Tensor) -> LogLikelihood:
        images.append(z + 0.5 * torch.randn_like(z))
        return LogLikelihood(images[-1], lambda x, z: normal_log_density(x - z, 0.5))

    found = bdmc(simulate, of_each(slice(None))[0], batch=6)
    truth = Normal(LOC, (SCALE.square() + 0.25).sqrt()).log_prob(images[0]).sum(-1)
    lower = found.lower
    assert ((lower.log_likelihood - truth).abs() < 5 * lower.se + 1e-6).all()
    assert ((found.upper - truth).abs() < 5 * found.upper_se + 1e-6).all()


def test_priors_of_other_images() -> None:
    x = torch.zeros(3, 2, dtype=F64)
    likelihood = LogLikelihood(x, lambda x, z: normal_log_density(x - z, 0.5))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        ais(likelihood, of_each(slice(None))[0], batch=3)
