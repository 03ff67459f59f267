"""von Mises-Fisher as it is widely copied, mistake by mistake."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Distribution,
    constraints,
)
from torch.nn.functional import softplus

from tests.testing.zoo.base import Free, caught_by
from vaebench import Posterior, Variant


class Sphere(constraints.Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.norm(dim=-1) - 1).abs() < 1e-6


def log_area(m: int) -> float:
    return math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


class UniformSphere(Free):
    support = Sphere()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = self.noise(sample_shape)
        return z / z.norm(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.full(value.shape[:-1], -log_area(value.shape[-1]), dtype=value.dtype)


class RejectionSphere(Distribution):
    """von Mises-Fisher by Wood's rejection sampler, differentiated through accepted proposals.

    The density is right; the gradient lacks the correction for the rejections, outside m = 3.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = Sphere()
    has_rsample = True

    def __init__(self, loc: Tensor, kappa: Tensor) -> None:
        self.loc, self.kappa = loc, kappa
        super().__init__(kappa.shape, loc.shape[-1:], validate_args=False)

    def b(self) -> Tensor:
        m = self.event_shape[0]
        return (m - 1) / (2 * self.kappa + (4 * self.kappa.square() + (m - 1) ** 2).sqrt())

    def cosine(self, shape: Any) -> Tensor:
        m = self.event_shape[0]
        b, kappa = self.b().expand(shape), self.kappa.expand(shape)
        x = (1 - b) / (1 + b)
        c = kappa * x + (m - 1) * torch.log1p(-x.square())
        half = torch.full(shape, (m - 1) / 2, dtype=kappa.dtype)
        with torch.no_grad():
            chosen = torch.full(shape, 0.5, dtype=kappa.dtype)
            waiting = torch.ones(shape, dtype=torch.bool)
            while waiting.any():
                e = Beta(half, half, validate_args=False).sample()
                w = (1 - (1 + b) * e) / (1 - (1 - b) * e)
                log_u = torch.rand(shape, dtype=kappa.dtype).log()
                good = waiting & (kappa * w + (m - 1) * torch.log1p(-x * w) - c >= log_u)
                chosen = torch.where(good, e, chosen)
                waiting = waiting & ~good
        return (1 - (1 + b) * chosen) / (1 - (1 - b) * chosen)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        w = self.cosine(shape[:-1])[..., None]
        across = torch.randn(shape, dtype=self.loc.dtype)
        across = across - (across * self.loc).sum(-1, keepdim=True) * self.loc
        across = across / across.norm(dim=-1, keepdim=True)
        return w * self.loc + (1 - w.square()).clamp_min(1e-30).sqrt() * across

    def log_normaliser(self) -> Tensor:
        m, dtype = self.event_shape[0], self.kappa.dtype
        # In the angle, log of the integral of exp(κ (cos a - 1)) sin^(m-2) a, graded towards 0.
        edges = torch.linspace(0, 1, 601, dtype=dtype)
        middle = (edges[1:] + edges[:-1]) / 2
        angle, jacobian = math.pi * middle.pow(3), math.pi * 3 * middle.square() / 600
        power = (m - 2) * angle.sin().log() + jacobian.log()
        bent = self.kappa[..., None] * (angle.cos() - 1) + power
        return bent.logsumexp(-1) + self.kappa + log_area(m - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.kappa * (value * self.loc).sum(-1) - self.log_normaliser()


class OnSphere(Posterior):
    def __init__(self, features: int, context: int, kind: Any) -> None:
        if features < 2:
            raise ValueError("a sphere needs two coordinates")
        super().__init__(features, context)
        self.kind = kind
        self.head = nn.Linear(context, features + 1)

    def forward(self, h: Tensor) -> Distribution:
        out = self.head(h)
        loc = out[..., :-1] / out[..., :-1].norm(dim=-1, keepdim=True).clamp_min(1e-12)
        return self.kind(loc, softplus(out[..., -1]) + 1)

    def prior(self) -> Distribution:
        return UniformSphere(self._zeros, torch.ones_like(self._zeros))  # type: ignore[arg-type]


def spherical(kind: Any) -> Callable[[int, int], Posterior]:
    return lambda features, context: OnSphere(features, context, kind)


@caught_by("gradient")
def rejection_without_correction() -> Variant:
    return Variant("rejection-without-correction", spherical(RejectionSphere))


@caught_by("sampler")
def proposal_for_large_concentrations() -> Variant:
    class Approximate(RejectionSphere):
        def b(self) -> Tensor:
            m = self.event_shape[0]
            return torch.where(self.kappa > 10, (m - 1) / (4 * self.kappa), super().b())

    return Variant("proposal-for-large-concentrations", spherical(Approximate))


@caught_by("normalised")
def normaliser_of_three_coordinates() -> Variant:
    class Three(RejectionSphere):
        def log_normaliser(self) -> Tensor:
            k = self.kappa
            return math.log(2 * math.pi) + k - k.log() + torch.log1p(-(-2 * k).exp())

    return Variant("normaliser-of-three-coordinates", spherical(Three))


@caught_by("normalised")
def relative_to_the_uniform_law() -> Variant:
    class Relative(RejectionSphere):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + log_area(value.shape[-1])

    return Variant("relative-to-the-uniform-law", spherical(Relative))


@caught_by("moments")
def mean_direction_for_mean() -> Variant:
    class Direction(RejectionSphere):
        @property
        def mean(self) -> Tensor:
            return self.loc

    return Variant("mean-direction-for-mean", spherical(Direction))
