"""Overflow, underflow, and the wrong dtype or device."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Normal,
)

from tests.testing.zoo.base import Free, caught_by, family, normal
from vaebench import Gaussian, Variant, iwae
from vaebench.models.posterior import positive


@caught_by("finite")
def product_of_densities() -> Variant:
    class Product(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return Normal(self.loc, self.scale).log_prob(value).exp().prod(-1).log()

    return Variant("product-of-densities", family(Product), iwae)


@caught_by("finite")
def exponential_of_the_features() -> Variant:
    class Exponential(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            loc, raw = self.head(h).chunk(2, -1)
            return normal(loc, (3 * raw).exp())

    return Variant("exponential-of-the-features", Exponential)


@caught_by("finite")
def gradient_of_a_root_at_zero() -> Variant:
    """The value is finite at features of 0, its gradient is not."""

    class Root(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h / (1 + h.norm(dim=-1, keepdim=True).sqrt()))

    return Variant("gradient-of-a-root-at-zero", Root)


@caught_by("dtypes")
def noise_in_float32() -> Variant:
    class Single(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            z = self.loc.float() + self.scale.float() * self.noise(sample_shape).float()
            return z.to(self.loc.dtype)

    return Variant("noise-in-float32", family(Single))


@caught_by("dtypes")
def float32_only() -> Variant:
    class Single(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            q: Any = super().forward(h)
            return normal(q.mean.float(), q.stddev.float())

    return Variant("float32-only", Single)


@caught_by("precision")
def squares_that_cancel() -> Variant:
    class Cancelling(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            far = 1e3
            a, b = (value - self.loc + far) / self.scale, far / self.scale
            square = a.square() - b.square() - 2 * b * (value - self.loc) / self.scale
            return (-square / 2 - self.scale.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    return Variant("squares-that-cancel", family(Cancelling))


@caught_by("devices")
def constant_on_the_cpu() -> Variant:
    class Constant(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.shift = torch.full((2 * features,), 0.1)

        def forward(self, h: Tensor) -> Distribution:
            loc, raw = (self.head(h) + self.shift).chunk(2, -1)
            return normal(loc, positive(raw))

    return Variant("constant-on-the-cpu", Constant)
