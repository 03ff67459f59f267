"""Bidirectional Monte Carlo brackets the evidence of simulated images."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from tests.evaluation.models import LinearGaussian, LogLikelihood, normal_log_density, standard
from vaebench.evaluation import bdmc, certified
from vaebench.evaluation.annealing.bdmc import Simulated
from vaebench.evaluation.annealing.latent_space import latent_space
from vaebench.evaluation.annealing.settings import Settings

F64 = torch.float64


def simulator(model: LinearGaussian, images: list[Tensor]):
    def simulate(z: Tensor) -> LogLikelihood:
        x = z @ model.w
        x = x + model.sigma * torch.randn_like(x)
        images.append(x)
        return model.log_likelihood(x)

    return simulate


@pytest.mark.parametrize("kernel", ["hmc", "hais"])
@pytest.mark.parametrize("start", ["laplace", "prior"])
def test_bracket_contains_the_truth(start: str, kernel: str) -> None:
    model, images = LinearGaussian(6, 40, sigma=0.5), []
    found = bdmc(
        simulator(model, images), standard(6), batch=64, start=start, kernel=kernel, steps=25
    )
    truth = model.log_evidence(images[0])
    below, above = truth - found.lower.log_likelihood, found.upper - truth
    for side in (below, above):
        assert side.mean() > -4 * side.std() / 8
    assert found.mean_gap == pytest.approx((below + above).mean().item())
    if start == "prior":
        assert below.mean() > 4 * below.std() / 8 and above.mean() > 4 * above.std() / 8


def test_reverse_is_unbiased_for_the_inverse() -> None:
    """E[1/w] = 1/p(x) over exact draws of the posterior: here over chains of many like images."""
    model = LinearGaussian(2, 4, sigma=1.0)
    x = model.images(1)
    draws = model.posterior(x).sample(torch.Size((4000,)))[:, 0]

    likelihood = model.log_likelihood(x.expand(4000, -1))
    settings = Settings(start="prior", chains=1, steps=6)
    with torch.no_grad():
        task = Simulated(likelihood, latent_space(standard(2)), 4000, settings, 0, None)
        upper, _ = task.reverse(task.plan(None), draws)
    ratio = (model.log_evidence(x) - upper).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / 4000**0.5
    assert ratio.std() > 0.1


def test_gap_closes_with_steps_and_target() -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(10, 40, generator=generator, dtype=F64)

    def simulate(z: Tensor) -> LogLikelihood:
        x = torch.bernoulli((z @ w).sigmoid())
        return LogLikelihood(x, lambda x, z: (x * (z @ w) - softplus(z @ w)).sum(-1))

    settings = {"batch": 32, "start": "prior"}
    gaps = [bdmc(simulate, standard(10), steps=n, **settings).mean_gap for n in (10, 300)]
    assert gaps[0] > 1 and gaps[1] < 0.3 * gaps[0]
    aim, found = certified(simulate, standard(10), batch=32, target=0.1)
    assert aim <= 0.1 and found.mean_gap < 0.1
    assert found.lower.se.mean() < 0.1
    _, spent = certified(simulate, standard(10), batch=8, target=1e-4, budget=2000, start="prior")
    assert (spent.lower.evaluations <= 2000).all()


def test_same_seed_same_bits_and_untouched_state() -> None:
    model = LinearGaussian(3, 5, sigma=0.5)
    before = torch.get_rng_state()
    one, other = (
        bdmc(simulator(model, []), standard(3), batch=4, steps=5, seed=7) for _ in range(2)
    )
    assert torch.equal(one.upper, other.upper)
    assert torch.equal(one.lower.log_weights, other.lower.log_weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_input() -> None:
    def simulate(z: Tensor) -> LogLikelihood:
        return LogLikelihood(z, lambda x, z: normal_log_density(x - z, 1.0))

    for arguments in ({"steps": 0}, {"batch": 0}, {"start": "proposal"}):
        with pytest.raises(ValueError):
            bdmc(simulate, standard(2), **{"batch": 3, **arguments})
