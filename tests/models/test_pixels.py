"""The families of pixels against closed forms of other libraries."""

import math

import mpmath
import pytest
import torch
from scipy import stats

from vaebench.models import pixels

NEAR_ZERO = (0.0, 1e-30, 1e-12, 1e-8, 1e-4, 1e-3, 0.02, 0.1, 0.5999, 0.6001, 1.0, 8.0, 90.0, 1e4)
ETAS = [sign * eta for eta in NEAR_ZERO for sign in (1, -1)]


def exact(eta, x):
    """log p, its slope in η, and the mean of the continuous Bernoulli with logits η."""
    with mpmath.workdps(200):
        eta, x = mpmath.mpf(eta), mpmath.mpf(x)
        if eta == 0:
            return 0.0, float(x - 0.5), 0.5
        log_p = eta * x + mpmath.log(eta / mpmath.expm1(eta))
        mean = 1 / (1 - mpmath.exp(-eta)) - 1 / eta
        return float(log_p), float(x - mean), float(mean)


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_continuous_bernoulli_is_exact_near_one_half_and_far_from_it(eta, dtype):
    small = 2e-6 if dtype == torch.float32 else 2e-10
    for x in (0.0, 0.25, 0.9375, 1.0):
        logits = torch.full((1, 1, 1), eta, dtype=dtype, requires_grad=True)
        law = pixels.ContinuousBernoulli(logits)
        found = law.log_prob(torch.full((1, 1, 1), x, dtype=dtype))
        found.backward()
        log_p, slope, mean = exact(logits.item(), x)
        assert found.item() == pytest.approx(log_p, rel=small, abs=small)
        assert logits.grad.item() == pytest.approx(slope, rel=small, abs=small)
        assert law.mean.item() == pytest.approx(mean, rel=small, abs=small)


def test_the_continuous_bernoulli_is_torchs_away_from_one_half():
    logits = torch.tensor([-6.0, -1.0, 1.0, 3.0], dtype=torch.double)
    theirs = torch.distributions.ContinuousBernoulli(logits=logits)
    ours = pixels.ContinuousBernoulli(logits[:, None, None, None])
    for x in (0.0, 0.3, 1.0):
        expected = theirs.log_prob(torch.tensor(x, dtype=torch.double))
        torch.testing.assert_close(ours.log_prob(torch.full((1, 1, 1), x)), expected)
    torch.testing.assert_close(ours.mean.flatten(), theirs.mean)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("log_a", "log_b"), [(0, 0), (-8, 1), (3, -2), (6, 5), (15, 15), (9, -20)])
def test_the_beta_binomial_is_scipys(levels, log_a, log_b):
    x = torch.linspace(0, 1, levels)[:, None, None, None]
    both = (torch.full((1, 1, 1), float(value)) for value in (log_a, log_b))
    law = pixels.BetaBinomial(*both, levels)
    a, b = math.exp(log_a), math.exp(log_b)
    expected = stats.betabinom(levels - 1, a, b).logpmf(range(levels))
    torch.testing.assert_close(
        law.log_prob(x).double(), torch.tensor(expected), rtol=1e-5, atol=1e-5
    )
    assert law.mean.item() == pytest.approx(a / (a + b), rel=1e-5)


def test_the_beta_binomial_reaches_its_limits():
    """Two points at the ends where α and β vanish, whatever float32 makes of them."""
    tiny = torch.full((1, 1, 1), -300.0)
    law = pixels.BetaBinomial(tiny, tiny, 17)
    ends = law.log_prob(torch.tensor([0.0, 1.0])[:, None, None, None]).exp()
    torch.testing.assert_close(ends, torch.full((2,), 0.5))
    torch.manual_seed(0)
    draws = law.sample((2000,))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert abs(draws.mean().item() - 0.5) < 4.5 * 0.5 / math.sqrt(2000)


def test_the_categorical_and_the_bernoulli_are_torchs():
    logits = torch.randn(3, 5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([[4, 0], [2, 3]])
    theirs = torch.distributions.Categorical(logits=logits.movedim(1, -1))
    expected = theirs.log_prob(level).sum((1, 2, 3))
    found = pixels.Categorical(logits).log_prob((level / 4)[None])
    torch.testing.assert_close(found, expected)
    binary = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = torch.distributions.Bernoulli(logits=logits[:, 0]).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(pixels.Bernoulli(logits[:, 0]).log_prob(binary), expected)


def test_a_mixture_is_the_weighted_sum_of_its_components():
    noise = torch.Generator().manual_seed(0)
    logits, location, raw = torch.randn(3, 4, 1, 1, 1, generator=noise)
    law = pixels.LogisticMixture(logits, location, raw - 3, 17)
    x = torch.linspace(0, 1, 17)[:, None, None, None]
    parts = [
        weight * pixels.DiscretisedLogistic(m, s, 17).log_prob(x).exp()
        for weight, m, s in zip(logits.softmax(0).flatten(), location, raw - 3, strict=True)
    ]
    torch.testing.assert_close(law.log_prob(x).exp(), sum(parts))
