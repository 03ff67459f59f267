"""Sums and terms of log sigmoid in few passes over memory, their derivatives written out."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus


def over_pixels(values: Tensor) -> Tensor:
    """The sum (...) of values (..., C, H, W)."""
    return values.sum((-3, -2, -1))


def binary_log_prob(logits: Tensor, value: Tensor) -> Tensor:
    """Σ x η - log(1 + exp(η)) over pixels (...), nats, for logits η and any x (..., C, H, W).

    In float32, or in float64 where an argument has it: sums of a thousand nats do not survive less.
    Derivatives of every order are exact.
    """
    number = torch.promote_types(torch.promote_types(logits.dtype, value.dtype), torch.float32)
    logits, value = logits.to(number), value.to(number)
    if _traced():
        return over_pixels(value * logits - softplus(logits))
    shape = torch.broadcast_shapes(logits.shape, value.shape)
    found: Tensor = _BinaryLogProb.apply(logits.expand(shape), value)
    return found


class _BinaryLogProb(torch.autograd.Function):
    """`binary_log_prob` in few passes over memory, with its derivative x - sigmoid(η).

    log(1 + exp(η)) is max(η, 0) - log sigmoid(|η|). The last logarithm is of a number between 1/2
    and 1, where `log` is as exact as `log1p` beside sums of nats, and on many processors ten times
    as fast.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(logits, value)
        terms = logits.abs().sigmoid_().log_().sub_(logits.relu())
        return over_pixels(torch.addcmul(terms, value, logits, out=terms))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, value = ctx.saved_tensors
        slope = slope[..., None, None, None]
        of_logits, of_value = ctx.needs_input_grad
        return (
            slope * (value - logits.sigmoid()) if of_logits else None,
            (slope * logits).sum_to_size(value.shape) if of_value else None,
        )


class _Softplus(torch.autograd.Function):
    """log(1 + exp(x)) of each number, computed as in `_BinaryLogProb`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu().sub_(x.abs().sigmoid_().log_())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        found: Tensor = slope * x.sigmoid()
        return found


def fast_softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) of each number; derivatives of every order are exact."""
    found: Tensor = softplus(x) if _traced() else _Softplus.apply(x)
    return found


def _traced() -> bool:
    """Whether torch transforms what is computed, and so needs its own functions."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
