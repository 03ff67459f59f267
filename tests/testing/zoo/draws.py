"""Draws that do not follow the density."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    RelaxedOneHotCategorical,
)

from tests.testing.zoo.base import Free, caught_by, family
from tests.testing.zoo.mixtures import Mixture, mixed
from vaebench import Variant


@caught_by("sampler")
def scale_floor_in_the_sampler_only() -> Variant:
    class Floored(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + self.scale.clamp_min(0.02) * self.noise(sample_shape)

    return Variant("scale-floor-in-the-sampler-only", family(Floored))


@caught_by("sampler")
def tails_cut_at_high_concentration() -> Variant:
    class Cut(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            noise = self.noise(sample_shape)
            noise = torch.where(self.scale < 0.1, noise.clamp(-1.5, 1.5), noise)
            return self.loc + self.scale * noise

    return Variant("tails-cut-at-high-concentration", family(Cut))


@caught_by("sampler")
def same_moments_another_law() -> Variant:
    class Boxed(Free):
        def noise(self, shape: Any) -> Tensor:
            unit = torch.rand(self._extended_shape(shape), dtype=self.loc.dtype)
            return (unit - 0.5) * math.sqrt(12)

    return Variant("same-moments-another-law", family(Boxed))


@caught_by("sampler")
def one_noise_for_all_dimensions() -> Variant:
    class Shared(Free):
        def noise(self, shape: Any) -> Tensor:
            return super().noise(shape)[..., :1].expand(self._extended_shape(shape))

    return Variant("one-noise-for-all-dimensions", family(Shared))


@caught_by("sampler")
def variance_for_deviation() -> Variant:
    class Squared(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + self.scale.square() * self.noise(sample_shape)

    return Variant("variance-for-deviation", family(Squared))


@caught_by("sampler")
def gumbel_softmax_mixture() -> Variant:
    class Relaxed(Mixture):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            temperature = torch.tensor(0.5, dtype=self.loc.dtype)
            y = RelaxedOneHotCategorical(temperature, logits=self.log_pi).rsample(sample_shape)
            return (y[..., None] * self.all(sample_shape)).sum(-2)

    return Variant("gumbel-softmax-mixture", mixed(Relaxed))


@caught_by("ways_to_draw")
def stratified_weights_of_one_third() -> Variant:
    class Even(Mixture):
        def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
            z = self.all((samples,)).movedim(-2, 0).flatten(0, 1)
            return z, torch.full(z.shape[:-1], -math.log(len(z)), dtype=z.dtype)

    return Variant("stratified-weights-of-one-third", mixed(Even))


@caught_by("sampler")
def draws_cut_at_2_5_deviations() -> Variant:
    class Cut(Free):
        def noise(self, shape: Any) -> Tensor:
            return super().noise(shape).clamp(-2.5, 2.5)

    return Variant("draws-cut-at-2.5-deviations", family(Cut))


@caught_by("sampler")
def draws_redrawn_within_2_5_deviations() -> Variant:
    class Redrawn(Free):
        def noise(self, shape: Any) -> Tensor:
            noise = super().noise(shape)
            for _ in range(4):
                noise = torch.where(noise.abs() > 2.5, torch.randn_like(noise), noise)
            return noise

    return Variant("draws-redrawn-within-2.5-deviations", family(Redrawn))
