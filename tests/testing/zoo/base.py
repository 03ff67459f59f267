"""What the broken variants are made of, and the list that they are added to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    Normal,
    constraints,
)

from vaebench import Gaussian, Posterior, Variant
from vaebench.models.posterior import positive


@dataclass(frozen=True)
class Broken:
    """A variant with a mistake, and the name of the check meant for it."""

    variant: Variant
    check: str


ZOO: list[Broken] = []


def caught_by(check: str) -> Callable[[Callable[[], Variant]], Callable[[], Variant]]:
    """Add the variant that a function makes to the zoo."""

    def add(make: Callable[[], Variant]) -> Callable[[], Variant]:
        ZOO.append(Broken(make(), check))
        return make

    return add


def family(
    make: Callable[[Tensor, Tensor], Distribution],
    prior: Callable[[Tensor], Distribution] | None = None,
) -> Callable[[int, int], Posterior]:
    """A posterior that makes q of a mean and a deviation, (B, D) both."""

    class Made(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            loc, raw = self.head(h).chunk(2, -1)
            return make(loc, positive(raw))

        def prior(self) -> Distribution:
            return super().prior() if prior is None else prior(self._zeros)  # type: ignore[arg-type]

    return Made


def normal(loc: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(loc, scale, validate_args=False), 1)


class Free(Distribution):
    """A distribution of D dimensions to be filled in: parameters loc and scale, (B, D) both."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def noise(self, shape: Any) -> Tensor:
        return torch.randn(
            self._extended_shape(shape), dtype=self.loc.dtype, device=self.loc.device
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self.noise(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return normal(self.loc, self.scale).log_prob(value)
