"""A masked autoregressive flow, by maximum likelihood."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import linear

from vaebench.models.samplers.training import Standard, fit

#: The largest logarithm of a scale, kept by tanh.
_BOUND = 3.0


class _Masked(nn.Linear):
    """A linear layer of which only the weights that a mask (out, in) allows count."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.mask: Tensor
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.mask, self.bias)


class Step(nn.Module):
    """y_d = (x_d - m_d(x_<d)) exp(-s_d(x_<d)), for x in this order or the opposite one."""

    def __init__(self, features: int, width: int, opposite: bool) -> None:
        super().__init__()
        self.opposite = opposite
        places = torch.arange(features)
        hidden = torch.arange(width) % max(1, features - 1)
        first = (hidden[:, None] >= places).float()
        middle = (hidden[:, None] >= hidden).float()
        last = (places[:, None] > hidden).float().repeat(2, 1)
        self.net = nn.Sequential(
            _Masked(first), nn.ReLU(), _Masked(middle), nn.ReLU(), _Masked(last)
        )

    def _parameters_at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.net(x).chunk(2, -1)
        return shift, _BOUND * torch.tanh(raw / _BOUND)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., D) to y and log |dy/dx| (...)."""
        x = x.flip(-1) if self.opposite else x
        shift, log_scale = self._parameters_at(x)
        return (x - shift) * (-log_scale).exp(), -log_scale.sum(-1)

    def inverse(self, y: Tensor) -> Tensor:
        """y (..., D) to x, one dimension after the other."""
        x = torch.zeros_like(y)
        for d in range(y.shape[-1]):
            shift, log_scale = self._parameters_at(x)
            x[..., d] = y[..., d] * log_scale[..., d].exp() + shift[..., d]
        return x.flip(-1) if self.opposite else x


class Flow(Distribution):
    """What autoregressive steps carry to N(0, I), batch shape ()."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, standard: Standard, steps: Sequence[Any]) -> None:
        self.standard, self.steps = standard, steps
        super().__init__(torch.Size(), standard.mean.shape, validate_args=False)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D)."""
        shape = (*sample_shape, *self.event_shape)
        with torch.no_grad():
            z = torch.randn(shape).to(self.standard.mean)
            for step in reversed(self.steps):
                z = step.inverse(z)
            return self.standard.back(z)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) (...) in nats."""
        y = self.standard(value)
        total: Tensor = -self.standard.scale.log().sum()
        for step in self.steps:
            y, log_det = step(y)
            total = total + log_det
        normal = torch.distributions.Normal(0.0, 1.0, validate_args=False)
        return normal.log_prob(y).sum(-1) + total


def maf(codes: Tensor, steps: int = 5, width: int = 128) -> Distribution:
    """The flow that is fitted to codes (N, D), batch shape ().

    Args:
        codes: What it is fitted to; a tenth of them decides when it is best.
        steps: Autoregressive steps, in alternating order.
        width: Units in each of the two hidden layers of a step.

    References:
        Papamakarios et al. 2017, Masked Autoregressive Flow, arXiv 1705.07057, eq. 3 to 5.
    """
    standard = Standard(codes)
    made = nn.ModuleList(Step(codes.shape[1], width, bool(i % 2)) for i in range(steps))
    made = made.to(codes)
    flow = Flow(standard, list(made))
    fit(made, flow.log_prob, codes)
    return flow
