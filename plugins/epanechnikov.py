"""A posterior with compact support: the Epanechnikov kernel, with its exact density and KL."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, constraints, register_kl
from torch.distributions.utils import broadcast_all

from vaebench import Gaussian, Variant, hookimpl


class Epanechnikov(Distribution):
    """The parabola 3/4 (1 - u²) / scale on u = (x - loc) / scale in [-1, 1], univariate.

    Args:
        loc: Centre (...).
        scale: Half-width of the support (...); the variance is scale² / 5.
        validate_args: As in torch.distributions.
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The interval [loc - scale, loc + scale]."""
        return constraints.interval(self.loc - self.scale, self.loc + self.scale)

    @property
    def mean(self) -> Tensor:
        """The centre (...)."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """scale² / 5 (...)."""
        return self.scale.square() / 5

    def expand(
        self, batch_shape: list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> "Epanechnikov":
        """The same distribution with a larger batch shape."""
        return Epanechnikov(
            self.loc.expand(batch_shape), self.scale.expand(batch_shape), validate_args=False
        )

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws loc + scale k, where k is the median of three uniforms on [-1, 1]."""
        shape = self._extended_shape(sample_shape)
        uniforms = torch.rand(3, *shape, dtype=self.loc.dtype, device=self.loc.device)
        # Rounding of loc + scale k must not carry a draw out of the support.
        rounding = 2 * torch.finfo(self.loc.dtype).eps * (1 + self.loc.abs() / self.scale)
        edge = (1 - rounding.detach()).clamp_min(0)
        k = (2 * uniforms.median(0).values - 1).clamp(-edge, edge)
        return self.loc + self.scale * k

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, -inf outside the support."""
        u = (value - self.loc) / self.scale
        inside = u.abs() < 1
        height = torch.log1p(-torch.where(inside, u, 0.0).square())
        density = math.log(0.75) + height - self.scale.log()
        return torch.where(inside, density, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """P(X <= value) = 1/2 + 3u/4 - u³/4."""
        u = ((value - self.loc) / self.scale).clamp(-1, 1)
        return 0.5 + u * (3 - u.square()) / 4

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile: the root of the cubic cdf in trigonometric form."""
        return self.loc + 2 * self.scale * torch.sin(torch.asin(2 * value - 1) / 3)

    def entropy(self) -> Tensor:
        """5/3 - log 3 + log scale, nats."""
        return 5 / 3 - math.log(3) + self.scale.log()


@register_kl(Epanechnikov, Normal)
def kl_epanechnikov_normal(p: Epanechnikov, q: Normal) -> Tensor:
    """KL(p || q) in nats: the cross-entropy needs only mean and variance of p."""
    square = ((p.loc - q.loc).square() + p.variance) / q.scale.square()
    return (math.log(2 * math.pi) + square) / 2 + q.scale.log() - p.entropy()


class EpanechnikovPosterior(Gaussian):
    """The mean and standard deviation of the Gaussian posterior, on an Epanechnikov kernel."""

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to independent kernels of half-width √5 standard deviations."""
        q = super().forward(h)
        return Independent(Epanechnikov(q.mean, math.sqrt(5) * q.stddev, validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The exact kernel posterior against N(0, I), trained with the ELBO."""
    return [
        Variant(
            "epanechnikov",
            EpanechnikovPosterior,
            reference="Epanechnikov 1969, doi 10.1137/1114019; kernel posterior, exact KL",
            family="posteriors",
            description="A parabola of compact support in each dimension, q(z) ∝ 1 − (z − μ)² "
            "/ r², with its exact KL.",
        )
    ]
