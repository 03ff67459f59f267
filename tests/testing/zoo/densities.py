"""Densities that do not integrate to one, and draws where there should be none."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    Uniform,
    constraints,
)

from tests.testing.zoo.base import Free, caught_by, family, normal
from vaebench import Gaussian, Variant
from vaebench.models.posterior import positive


def box(zeros: Tensor) -> Distribution:
    return Independent(Uniform(zeros - 1, zeros + 1, validate_args=False), 1)


@caught_by("support")
def support_wider_than_the_prior() -> Variant:
    return Variant("support-wider-than-the-prior", family(normal, box))


@caught_by("own_support")
def draws_outside_the_stated_support() -> Variant:
    class Bounded(Free):
        support = constraints.independent(constraints.interval(-1.0, 1.0), 1)

    return Variant("draws-outside-the-stated-support", family(Bounded))


@caught_by("normalised")
def tanh_without_jacobian() -> Variant:
    class Squashed(Free):
        support = constraints.independent(constraints.interval(-1.0, 1.0), 1)

        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return torch.tanh(super().rsample(sample_shape))

        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(torch.atanh(value.clamp(-1 + 1e-12, 1 - 1e-12)))

    return Variant("tanh-without-jacobian", family(Squashed, box))


@caught_by("normalised")
def constant_missing() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.5 * math.log(2 * math.pi)  # of one dimension

    return Variant("constant-missing", family(Unnormalised))


@caught_by("normalised")
def constant_missing_above_two_dimensions() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.2 * (value.shape[-1] > 2)

    return Variant("constant-missing-above-two-dimensions", family(Unnormalised))


@caught_by("normalised")
def prior_unnormalised() -> Variant:
    class Flat(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return -value.square().sum(-1) / 2

    return Variant("prior-unnormalised", family(normal, lambda z: Flat(z, torch.ones_like(z))))


@caught_by("normalised")
def flow_with_the_log_determinant_turned() -> Variant:
    class Flow(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return torch.sinh(super().rsample(sample_shape))

        def log_prob(self, value: Tensor) -> Tensor:
            base = super().log_prob(torch.asinh(value))
            return base + 0.5 * torch.log1p(value.square()).sum(-1)

    return Variant("flow-with-the-log-determinant-turned", family(Flow))


def in_evaluation(make: Any) -> Any:
    """A posterior whose q is made by `make` in evaluation, and is the Gaussian in training."""

    class Other(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            loc, raw = self.head(h).chunk(2, -1)
            return (normal if self.training else make)(loc, positive(raw))

    return Other


@caught_by("normalised")
def constant_missing_in_evaluation() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.2

    return Variant("constant-missing-in-evaluation", in_evaluation(Unnormalised))


@caught_by("sampler")
def wider_draws_in_evaluation() -> Variant:
    class Wider(Free):
        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + 1.2 * self.scale * self.noise(sample_shape)

    return Variant("wider-draws-in-evaluation", in_evaluation(Wider))


@caught_by("sampler")
def sample_other_than_rsample() -> Variant:
    """Evaluation draws by sample, which is not what training draws by rsample."""

    class Narrower(Free):
        def sample(self, sample_shape: Any = ()) -> Tensor:
            return self.loc + 0.8 * self.scale * self.noise(sample_shape)

    return Variant("sample-other-than-rsample", family(Narrower))


@caught_by("sampler")
def constant_missing_above_64_dimensions() -> Variant:
    class Unnormalised(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return super().log_prob(value) + 0.5 * (value.shape[-1] > 64)

    return Variant("constant-missing-above-64-dimensions", family(Unnormalised))


@caught_by("sampler")
def density_of_the_first_64_dimensions() -> Variant:
    class First(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            return normal(self.loc[..., :64], self.scale[..., :64]).log_prob(value[..., :64])

    return Variant("density-of-the-first-64-dimensions", family(First))


@caught_by("sampler")
def scale_ten_per_cent_off_above_64_dimensions() -> Variant:
    class Off(Free):
        def log_prob(self, value: Tensor) -> Tensor:
            off = 1.1 if value.shape[-1] > 64 else 1.0
            return normal(self.loc, off * self.scale).log_prob(value)

    return Variant("scale-ten-per-cent-off-above-64-dimensions", family(Off))
