"""The Poisson posterior: counts in evaluation, soft counts in training, a closed-form KL."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import chisquare, poisson
from torch.distributions import Independent, Poisson, kl_divergence
from vaebench_plugins.poisson import PoissonPosterior, RelaxedPoisson, vaebench_variants

from vaebench import elbo
from vaebench.models.draw import draw


@pytest.mark.parametrize(("rate", "delta"), [(1.0, 2.0), (3.0, 0.2), (0.5, 1.0), (2.0, 20.0)])
def test_kl(rate: float, delta: float) -> None:
    q = RelaxedPoisson(torch.tensor(rate * delta, dtype=torch.float64), 0.1)
    p = Poisson(torch.tensor(rate, dtype=torch.float64))
    mine = kl_divergence(q, p).item()

    assert mine == pytest.approx(rate * (1 - delta + delta * math.log(delta)), abs=1e-12)
    counts = range(200)
    terms = (
        poisson.pmf(k, rate * delta) * (poisson.logpmf(k, rate * delta) - poisson.logpmf(k, rate))
        for k in counts
    )
    assert mine == pytest.approx(sum(terms), abs=1e-9)


def test_reference_value() -> None:
    q = RelaxedPoisson(torch.tensor(2.0, dtype=torch.float64), 0.1)
    p = Poisson(torch.tensor(1.0, dtype=torch.float64))

    assert kl_divergence(q, p).item() == pytest.approx(0.386294, abs=1e-6)


def test_log_prob_is_the_mass_function() -> None:
    k = torch.arange(60, dtype=torch.float64)
    q = RelaxedPoisson(torch.tensor(4.2, dtype=torch.float64), 0.1)

    torch.testing.assert_close(q.log_prob(k), torch.tensor(poisson.logpmf(k.numpy(), 4.2)))


@pytest.mark.parametrize("rate", [0.3, 4.2, 40.0])
def test_sample_follows_the_mass_function(rate: float) -> None:
    torch.manual_seed(0)
    z = RelaxedPoisson(torch.tensor(rate), 0.1).sample((20_000,))
    edges = poisson.ppf([i / 12 for i in range(13)], rate)
    edges[0], edges[-1] = -1, math.inf
    edges = sorted(set(edges))
    bins = list(pairwise(edges))
    counts = [((z > a) & (z <= b)).sum().item() for a, b in bins]
    expected = [20_000 * (poisson.cdf(b, rate) - poisson.cdf(a, rate)) for a, b in bins]

    assert (z == z.round()).all()
    assert chisquare(counts, expected).pvalue > 1e-5


@pytest.mark.parametrize("rate", [0.2, 3.0, 30.0])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_mean_and_gradient_of_soft_counts(rate: float, temperature: float) -> None:
    """E = rate ∫ σ((1 - t)/T) dt = rate T log(1 + e^(1/T)), whose derivative is E / rate."""
    torch.manual_seed(1)
    leaf = torch.full((40_000,), rate, dtype=torch.float64, requires_grad=True)
    z = RelaxedPoisson(leaf, temperature).rsample()
    (gradient,) = torch.autograd.grad(z.sum(), leaf)
    slope = temperature * math.log1p(math.exp(1 / temperature))

    for values, exact in ((z.detach(), rate * slope), (gradient, slope)):
        error = values.std().item() / math.sqrt(len(values))
        assert abs(values.mean().item() - exact) < 5 * error


def test_soft_counts_harden_with_the_temperature() -> None:
    rate = torch.full((2000,), 3.0)
    off = []
    for temperature in (0.5, 0.1, 0.01):
        torch.manual_seed(2)
        z = RelaxedPoisson(rate, temperature).rsample()
        off.append((z - z.round()).abs().mean().item())

    assert off[0] > off[1] > off[2]
    assert off[2] == pytest.approx(3 * 2 * 0.01 * math.log(2), rel=0.2)


def test_training_relaxes_and_evaluation_counts() -> None:
    torch.manual_seed(0)
    made = PoissonPosterior(5, 4)
    h = torch.randn(6, 4)
    relaxed = made(h).rsample((10,))
    counts = made.eval()(h).rsample((10,))

    assert relaxed.requires_grad
    assert not (relaxed == relaxed.round()).all()
    assert (counts == counts.round()).all()
    assert made.prior().support.is_discrete


def test_every_parameter_is_reached() -> None:
    torch.manual_seed(0)
    made = PoissonPosterior(5, 4)
    h = torch.randn(6, 4)
    elbo(draw(made(h), made.prior(), lambda z: -(z.sum(-1) - 3).square(), 2)).sum().backward()

    assert all((p.grad != 0).any() for p in made.parameters() if p.grad is not None)
    assert made.log_rate.grad is not None


def test_importance_weights_in_evaluation_are_unbiased() -> None:
    """x | z ~ N(z, 1) at x = 2 with z ~ Poisson(1): E_q[p(x, z)/q(z)] is the sum over counts."""
    torch.manual_seed(3)
    evidence = sum(
        poisson.pmf(k, 1) * math.exp(-((2 - k) ** 2) / 2) / math.sqrt(2 * math.pi)
        for k in range(60)
    )
    q = Independent(RelaxedPoisson(torch.full((1, 1), 1.6), 0.0), 1)
    p = Independent(Poisson(torch.ones(1)), 1)
    table = draw(q, p, lambda z: -(2 - z[..., 0]).square() / 2 - math.log(2 * math.pi) / 2, 50_000)
    weights = table.log_w[:, 0].exp()

    error = weights.std().item() / math.sqrt(len(weights))
    assert abs(weights.mean().item() - evidence) < 5 * error


def test_a_frozen_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature is positive"):
        PoissonPosterior(3, 4, temperature=0.0)


def test_is_declared_no_bound_in_training() -> None:
    assert set(vaebench_variants()[0].deviations) == {"bound"}


def test_the_prior_begins_at_the_rate_that_is_asked_for() -> None:
    made = PoissonPosterior(3, 4, rate=0.01)

    torch.testing.assert_close(made.prior().mean, torch.full((3,), 0.01))
    with pytest.raises(ValueError, match="The rate is positive, not 0"):
        PoissonPosterior(3, 4, rate=0)
