"""Sums and terms of log sigmoid: exact, their derivatives too."""

import pytest
import torch
from scipy import special
from torch.autograd import gradcheck, gradgradcheck

from vaebench.compute.random import generator
from vaebench.models import logistic


def wide(*shape, dtype=torch.double):
    """Numbers from thousandths to hundreds of both signs."""
    noise = generator(0, "wide")
    size = torch.randn(shape, generator=noise, dtype=dtype).mul(3).exp().clamp(max=500)
    return size * torch.randn(shape, generator=noise, dtype=dtype).sign()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_binary_pixels_are_scipys_whatever_their_logits(dtype, value):
    logits = torch.cat([wide(200), torch.tensor([0.0, 16.6, -40.0, 90.0, -104.0, 1e30, -1e30])])
    logits = logits.to(dtype)[:, None, None, None]
    found = logistic.binary_log_prob(logits, torch.full((1, 1, 1), value, dtype=dtype))
    exact = logits.double().flatten().numpy()
    expected = value * special.log_expit(exact) + (1 - value) * special.log_expit(-exact)
    error = (found.double().numpy() - expected) / (1 + abs(exact))
    assert abs(error).max() < 2 * torch.finfo(dtype).eps


def test_a_picture_is_off_by_rounding_alone():
    logits = 3 * torch.randn(256, 1, 28, 28, generator=generator(0, "logits"))
    value = torch.bernoulli(logits.sigmoid(), generator=generator(1, "value"))
    found = logistic.binary_log_prob(logits, value).double()
    expected = logistic.binary_log_prob(logits.double(), value.double())
    assert (found - expected).abs().max() < 3e-4


@pytest.mark.parametrize("of_logits", [(3, 2, 1, 2, 2), (2, 1, 2, 2), (1, 2, 2)])
def test_binary_pixels_have_exact_derivatives_of_two_orders(of_logits):
    logits = torch.randn(of_logits, dtype=torch.double).requires_grad_()
    value = torch.rand(2, 1, 2, 2, dtype=torch.double).requires_grad_()
    assert gradcheck(logistic.binary_log_prob, (logits, value))
    assert gradgradcheck(logistic.binary_log_prob, (logits, value))


def test_half_precision_is_summed_in_float32():
    logits, value = wide(2, 1, 28, 28).bfloat16(), torch.ones(2, 1, 28, 28)
    found = logistic.binary_log_prob(logits, value.bfloat16())
    assert found.dtype == torch.float32
    assert found.equal(logistic.binary_log_prob(logits.float(), value))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert logistic.binary_log_prob(logits, value.bfloat16()).equal(found)
