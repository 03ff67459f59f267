"""Planar flow: a Gaussian pushed along directions that the encoder chooses, invertibly."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from vaebench import Gaussian, Posterior, Variant, hookimpl

#: The least factor by which a step may shrink a volume.
LEAST = 0.05
#: The largest coordinate of √D w, u and b.
MOST = 4.0


def bounded(raw: Tensor) -> Tensor:
    """The identity near 0, never beyond ± `MOST`."""
    return MOST * torch.tanh(raw / MOST)


class PlanarFlow(Distribution):
    """The draws of `base`, (B,) + (D,), through T steps z ← z + u tanh(w·z + b).

    A step is invertible where w·u > -1 (Rezende & Mohamed 2015, app. A.1): `u` is moved along w so
    that w·u is m(w·u) ≥ -1 + `LEAST`, with m(0) = 0. Drawing takes one pass. The density at an
    arbitrary z needs the root of an increasing function of one variable for each step.

    Args:
        base: The distribution before the steps.
        w: Normals of the planes (B, T, D).
        u: Directions (B, T, D), before they are moved.
        b: Offsets (B, T).
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, w: Tensor, u: Tensor, b: Tensor) -> None:
        self.base, self.w, self.b = base, w, b
        inner = (w * u).sum(-1, keepdim=True)
        allowed = LEAST - 1 + (1 - LEAST) * softplus(inner + math.log(math.e - 1))
        self.u = u + (allowed - inner) * w / (w.square().sum(-1, keepdim=True) + 1e-8)
        self.slope = (w * self.u).sum(-1)
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def _moved(self, step: int, bend: Tensor) -> tuple[Tensor, Tensor]:
        """How far a step moves z (..., D) where tanh is `bend` (...), and its log-determinant."""
        log_det = torch.log1p(self.slope[..., step] * (1 - bend.square()))
        return self.u[..., step, :] * bend[..., None], log_det

    def rsample_and_log_prob(
        self, sample_shape: list[int] | tuple[int, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Draws z (..., B, D) with log q(z) (..., B) in nats, in one pass."""
        z = self.base.rsample(sample_shape)
        log_q = self.base.log_prob(z)
        for step in range(self.w.shape[-2]):
            bend = torch.tanh((self.w[..., step, :] * z).sum(-1) + self.b[..., step])
            move, log_det = self._moved(step, bend)
            z, log_q = z + move, log_q - log_det
        return z, log_q

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., B, D)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) (..., B) in nats, by inversion of every step."""
        z, total = value, value.new_zeros(())
        for step in reversed(range(self.w.shape[-2])):
            after = (self.w[..., step, :] * z).sum(-1)
            before = solved(after, self.slope[..., step], self.b[..., step])
            move, log_det = self._moved(step, torch.tanh(before + self.b[..., step]))
            z, total = z - move, total + log_det
        return self.base.log_prob(z) - total


def solved(after: Tensor, slope: Tensor, b: Tensor) -> Tensor:
    """The a (...) with a + slope tanh(a + b) = after, for slope > -1, differentiable.

    By bisection, and a Newton step which also carries the gradient of the implicit function.
    """
    with torch.no_grad():
        reach = slope.abs().expand_as(after)
        low, high = after - reach, after + reach
        for _ in range(60 if after.dtype == torch.float64 else 30):
            middle = (low + high) / 2
            above = middle + slope * torch.tanh(middle + b) > after
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        found = (low + high) / 2
        steepness = 1 + slope * (1 - torch.tanh(found + b).square())
    return found - (found + slope * torch.tanh(found + b) - after) / steepness


class PlanarPosterior(Posterior):
    """A diagonal Gaussian through T planar steps of the encoder's choice, against N(0, I).

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        steps: T; with 0 it is the diagonal Gaussian.

    Raises:
        ValueError: A negative number of steps.
    """

    def __init__(self, features: int, context: int, steps: int = 8) -> None:
        super().__init__(features, context)
        if steps < 0:
            raise ValueError(f"steps >= 0, not {steps}.")
        self.base, self.steps = Gaussian(features, context), steps
        self.planes = nn.ModuleList(nn.Linear(context, 2 * features + 1) for _ in range(steps))

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the flow."""
        if not self.steps:
            return self.base(h)
        raw = bounded(torch.stack([plane(h) for plane in self.planes], -2))
        w, u, b = raw.split([self.features, self.features, 1], -1)
        return PlanarFlow(self.base(h), w / math.sqrt(self.features), u, b[..., 0])


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Eight planar steps, trained with the ELBO."""
    return [
        Variant(
            "planar",
            PlanarPosterior,
            reference="Rezende & Mohamed 2015, arXiv 1505.05770",
            family="posteriors",
            description="Planar flow: a Gaussian sent through invertible steps z ← z + u tanh(w·z "
            "+ b) that the encoder chooses.",
        )
    ]
