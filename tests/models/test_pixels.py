"""The families of pixels against closed forms of other libraries."""

import math

import mpmath
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck, gradgradcheck

from vaebench.compute.random import generator
from vaebench.models import logistic, pixels

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


@pytest.mark.parametrize("family", ["binary", "logistic", "mixture"])
def test_functional_transforms_find_the_same(family):
    value = (torch.rand(2, 1, 3, 3) * 16).round() / 16
    parts = torch.randn(4, 2, 1, 3, 3), torch.randn(4, 2, 1, 3, 3)

    def log_prob(location, log_scale):
        if family == "binary":
            return logistic.binary_log_prob(location, value)
        if family == "logistic":
            return pixels.DiscretisedLogistic(location, log_scale, 17).log_prob(value)
        mixed = location[..., None, :, :, :].expand(*location.shape[:-3], 2, 1, 3, 3)
        return pixels.LogisticMixture(mixed, mixed, log_scale[..., None, :, :, :], 17).log_prob(
            value
        )

    def total(*parts):
        return log_prob(*parts).sum()

    torch.testing.assert_close(torch.vmap(log_prob)(*parts), log_prob(*parts))
    leaves = [part.clone().requires_grad_() for part in parts]
    total(*leaves).backward()
    for number in (0,) if family == "binary" else (0, 1):
        slope = torch.func.grad(total, argnums=number)(*parts)
        torch.testing.assert_close(slope, leaves[number].grad)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_discretised_logistic_has_exact_derivatives_of_two_orders(levels):
    value = torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.double).reshape(1, 2, 2)
    value = (value * (levels - 1)).round() / (levels - 1)
    location = torch.rand(3, 1, 2, 2, dtype=torch.double).requires_grad_()
    for shape in ((), (3, 1, 2, 2)):
        log_scale = (torch.randn(shape, dtype=torch.double) - 2).requires_grad_()

        def log_prob(location, log_scale):
            return pixels.DiscretisedLogistic(location, log_scale, levels).log_prob(value)

        assert gradcheck(log_prob, (location, log_scale))
        assert gradgradcheck(log_prob, (location, log_scale))


@pytest.mark.parametrize("log_scale", [math.log(1e-6), -7.0, -2.0, 3.0, math.log(1e6)])
def test_the_discretised_logistic_in_float32_is_that_in_float64(log_scale):
    value = torch.arange(256)[:, None, None, None] / 255
    location = torch.rand(64, 1, 1, 1, 1, generator=generator(0, "location")) * 1.4 - 0.2
    one, other = (
        pixels.DiscretisedLogistic(location.to(dtype), torch.tensor(log_scale, dtype=dtype), 256)
        .log_prob(value.to(dtype))
        .double()
        for dtype in (torch.float32, torch.float64)
    )
    # Grey values and locations are known to 1.2e-7, which counts in scales.
    rounding = 1.2e-7 / math.exp(log_scale)
    torch.testing.assert_close(one, other, atol=1e-5 + rounding, rtol=1e-5)
