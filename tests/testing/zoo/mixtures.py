"""A mixture of Gaussians that is right but for the gradient of the choice, and its densities."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    constraints,
)

from tests.testing.zoo.base import caught_by, normal
from vaebench import Posterior, Variant
from vaebench.models.posterior import positive


class Mixed(Posterior):
    """A mixture of three Gaussians, made by `kind` from logits, means and deviations."""

    def __init__(self, features: int, context: int, kind: Any) -> None:
        super().__init__(features, context)
        self.kind = kind
        self.head = nn.Linear(context, 3 + 6 * features)

    def forward(self, h: Tensor) -> Distribution:
        logits, rest = self.head(h).split([3, 6 * self.features], -1)
        loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
        return self.kind(logits, loc, positive(raw))


def mixed(kind: Any) -> Callable[[int, int], Posterior]:
    return lambda features, context: Mixed(features, context, kind)


class Mixture(Distribution):
    """A correct density, and draws whose choice of component has no gradient."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.log_pi, self.loc, self.scale = logits.log_softmax(-1), loc, scale
        super().__init__(logits.shape[:-1], loc.shape[-1:], validate_args=False)

    def components(self, value: Tensor) -> Tensor:
        return self.log_pi + normal(self.loc, self.scale).log_prob(value[..., None, :])

    def log_prob(self, value: Tensor) -> Tensor:
        return self.components(value).logsumexp(-1)

    def all(self, sample_shape: Any) -> Tensor:
        shape = (*sample_shape, *self.loc.shape)
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype)

    def choice(self, sample_shape: Any) -> Tensor:
        return Categorical(logits=self.log_pi).sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        index = self.choice(torch.Size(sample_shape))[..., None, None]
        z = self.all(sample_shape)
        return z.gather(-2, index.expand(*index.shape[:-1], z.shape[-1])).squeeze(-2)


@caught_by("normalised")
def density_of_the_nearest_component() -> Variant:
    class Nearest(Mixture):
        def log_prob(self, value: Tensor) -> Tensor:
            return self.components(value).max(-1).values

    return Variant("density-of-the-nearest-component", mixed(Nearest))


@caught_by("ways_to_draw")
def density_of_the_drawn_component() -> Variant:
    class Own(Mixture):
        def rsample_and_log_prob(self, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
            index = self.choice(torch.Size(sample_shape))[..., None]
            z = self.all(sample_shape)
            z = z.gather(-2, index[..., None].expand(*index.shape, z.shape[-1])).squeeze(-2)
            return z, self.components(z).gather(-1, index).squeeze(-1)

    return Variant("density-of-the-drawn-component", mixed(Own))
