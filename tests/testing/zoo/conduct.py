"""Variants that cannot be copied, saved, seeded, or left alone."""

import os
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
)

from tests.testing.zoo.base import Free, caught_by, family
from vaebench import Gaussian, Posterior, Variant


@caught_by("parameters")
def head_not_used() -> Variant:
    class Spare(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.spare = nn.Linear(context, features)

    return Variant("head-not-used", Spare)


@caught_by("parameters")
def features_detached() -> Variant:
    class Detached(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h.detach())

    return Variant("features-detached", Detached)


@caught_by("copies")
def features_kept() -> Variant:
    class Keeping(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            self.last = self.head(h)  # not a leaf: deepcopy refuses it
            return super().forward(h)

    return Variant("features-kept", Keeping)


@caught_by("checkpoints")
def permutation_outside_the_state() -> Variant:
    class Permuted(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.order = torch.randperm(context)

        def forward(self, h: Tensor) -> Distribution:
            return super().forward(h[:, self.order])

    return Variant("permutation-outside-the-state", Permuted)


@caught_by("checkpoints")
def object_in_the_state() -> Variant:
    class Stateful(Gaussian):
        def get_extra_state(self) -> Any:
            return np.random.default_rng(0)

        def set_extra_state(self, state: Any) -> None:
            pass

    return Variant("object-in-the-state", Stateful)


@caught_by("seeds")
def random_numbers_of_its_own() -> Variant:
    rng = np.random.default_rng(0)

    class Foreign(Free):
        def noise(self, shape: Any) -> Tensor:
            noise = rng.standard_normal(self._extended_shape(shape))
            return torch.as_tensor(noise, dtype=self.loc.dtype)

    return Variant("random-numbers-of-its-own", family(Foreign))


@caught_by("seeds")
def the_same_noise_each_time() -> Variant:
    class Frozen(Free):
        def noise(self, shape: Any) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            shape = self._extended_shape(shape)
            return torch.randn(shape, dtype=self.loc.dtype, generator=generator)

    return Variant("the-same-noise-each-time", family(Frozen))


@caught_by("seeds")
def seeded_when_made() -> Variant:
    class Seeding(Free):
        def noise(self, shape: Any) -> Tensor:
            torch.manual_seed(int(self.loc.shape[0]))
            return super().noise(shape)

    return Variant("seeded-when-made", family(Seeding))


@caught_by("torch_globals")
def default_dtype_changed() -> Variant:
    class Changing(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            torch.set_default_dtype(torch.float64)
            return super().forward(h)

    return Variant("default-dtype-changed", Changing)


@caught_by("torch_globals")
def function_of_torch_replaced() -> Variant:
    def softplus(x: Tensor) -> Tensor:
        return x.exp().log1p()

    class Replacing(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            torch.nn.functional.softplus = softplus
            return super().forward(h)

    return Variant("function-of-torch-replaced", Replacing)


@caught_by("torch_globals")
def warnings_silenced() -> Variant:
    class Silent(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            warnings.filterwarnings("ignore", "invalid value")
            return super().forward(h)

    return Variant("warnings-silenced", Silent)


@caught_by("torch_globals")
def environment_changed() -> Variant:
    class Setting(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            os.environ["OMP_WAIT_POLICY"] = "passive"
            super().__init__(features, context)

    return Variant("environment-changed", Setting)


@caught_by("torch_globals")
def numpy_seeded() -> Variant:
    class Seeding(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            np.random.seed(0)
            return super().forward(h)

    return Variant("numpy-seeded", Seeding)


@caught_by("torch_globals")
def validation_switched_off() -> Variant:
    def make(features: int, context: int) -> Posterior:
        Distribution.set_default_validate_args(False)
        return Gaussian(features, context)

    return Variant("validation-switched-off", make)
