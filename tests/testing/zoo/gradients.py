"""Gradients through draws that are not those of the expectation."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    RelaxedOneHotCategorical,
)

from tests.testing.zoo.base import Free, caught_by, family
from tests.testing.zoo.mixtures import Mixed, Mixture, mixed
from vaebench import Posterior, Variant
from vaebench.models.posterior import positive


class _Times(torch.autograd.Function):
    """The identity, with a gradient multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * grad, None


def biased(loc_factor: float, scale_factor: float) -> Callable[[int, int], Posterior]:
    class Biased(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            loc = _Times.apply(self.loc, loc_factor)
            scale = _Times.apply(self.scale, scale_factor)
            return loc + scale * self.noise(sample_shape)

    return family(Biased)


@caught_by("gradient")
def gradient_of_the_mean_ten_per_cent_high() -> Variant:
    return Variant("gradient-of-the-mean-ten-per-cent-high", biased(1.1, 1.0))


@caught_by("gradient")
def gradient_of_the_scale_ten_per_cent_low() -> Variant:
    return Variant("gradient-of-the-scale-ten-per-cent-low", biased(1.0, 0.9))


@caught_by("gradient")
def gradient_of_the_choice_forgotten() -> Variant:
    return Variant("gradient-of-the-choice-forgotten", mixed(Mixture))


@caught_by("gradient")
def straight_through_mixture() -> Variant:
    class StraightThrough(Mixture):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            temperature = torch.tensor(0.5, dtype=self.loc.dtype)
            y = RelaxedOneHotCategorical(temperature, logits=self.log_pi).rsample(sample_shape)
            hard = torch.zeros_like(y).scatter(-1, y.argmax(-1, keepdim=True), 1.0)
            y = hard + y - y.detach()
            return (y[..., None] * self.all(sample_shape)).sum(-2)

    return Variant("straight-through-mixture", mixed(StraightThrough))


@caught_by("gradient")
def stratified_weights_detached() -> Variant:
    class Detached(Mixture):
        def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
            z = self.all((samples,)).movedim(-2, 0).flatten(0, 1)
            weights = self.log_pi.movedim(-1, 0).detach() - math.log(samples)
            return z, weights.repeat_interleave(samples, 0)

    return Variant("stratified-weights-detached", mixed(Detached))


@caught_by("parameter_gradient")
def gradient_of_global_weights_forgotten() -> Variant:
    class Global(Mixed):
        """The weights belong to the model; an objective without log q leaves them untrained."""

        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context, Mixture)
            self.logits = nn.Parameter(torch.zeros(3))
            with torch.no_grad():
                centres = self.head.bias[3:].view(3, 2, features)[:, 0]
                centres += torch.linspace(-1.5, 1.5, 3)[:, None]

        def forward(self, h: Tensor) -> Distribution:
            _, rest = self.head(h).split([3, 6 * self.features], -1)
            loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
            return self.kind(self.logits.expand(len(h), -1), loc, positive(raw))

    return Variant("gradient-of-global-weights-forgotten", Global)
