"""Variants that misread what is known besides x."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from vaebench_plugins.acn import Associative
from vaebench_plugins.cvae import Conditional
from vaebench_plugins.m2 import M2, Strata

from tests.testing.zoo.base import caught_by, normal
from vaebench import Gaussian, Seen, Variant


@caught_by("given")
def prior_that_knows_x() -> Variant:
    class Knowing(Gaussian):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.register_buffer("last", torch.zeros(features), persistent=False)

        def forward(self, h: Tensor) -> Distribution:
            q: Any = super().forward(h)
            self.last = q.mean.mean(0).detach()
            return q

        def prior(self) -> Distribution:
            return normal(self.last, torch.ones_like(self.last))

    return Variant("prior-that-knows-x", Knowing)


@caught_by("given")
def condition_not_used() -> Variant:
    class Unmoved(Conditional):
        def prior(self, given: Tensor | None = None) -> Distribution:
            return super().prior(None if given is None else torch.zeros_like(given))

    return Variant("condition-not-used", Unmoved)


@caught_by("given")
def condition_of_the_batch() -> Variant:
    class Mean(Conditional):
        def prior(self, given: Tensor | None = None) -> Distribution:
            return super().prior(None if given is None else given + given.mean(0))

    return Variant("condition-of-the-batch", Mean)


@caught_by("together")
def labels_out_of_place() -> Variant:
    class Displaced(M2):
        def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
            labels = None if seen.labels is None else seen.labels.sort().values
            return super().pair(h, Seen(labels=labels))

    return Variant("labels-out-of-place", Displaced)


@caught_by("strata")
def label_that_is_only_a_hint() -> Variant:
    class Soft(M2):
        def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
            q: Any = self(h)
            if seen.labels is None:
                return q, self.prior()
            known = nn.functional.one_hot(seen.labels.clamp_min(0), self.classes)
            logits = q.logits + 2.0 * known * (seen.labels >= 0)[:, None]
            laws = {name: (size, q._laws[name]) for name, size in q.sizes.items()}
            return Strata(laws, logits), self.prior()

    return Variant("label-that-is-only-a-hint", Soft)


@caught_by("strata")
def strata_that_are_not_normalised() -> Variant:
    class Unequal(Strata):
        def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
            z, log_weights = super().rstratified(samples)
            return z, log_weights + 0.1

    class Sums(M2):
        def _chain(self, h: Tensor, labels: Tensor | None = None) -> Strata:
            q = super()._chain(h, labels)
            laws = {name: (size, q._laws[name]) for name, size in q.sizes.items()}
            return Unequal(laws, q.logits, labels)

    return Variant("strata-that-are-not-normalised", Sums)


@caught_by("memory")
def its_own_neighbour() -> Variant:
    class Own(Associative):
        def nearest(self, codes: Tensor, index: Tensor) -> Tensor:
            return super().nearest(codes, torch.full_like(index, -1))

    return Variant("its-own-neighbour", Own)


@caught_by("memory")
def memory_of_test_images() -> Variant:
    class Greedy(Associative):
        def forward(self, h: Tensor) -> Distribution:
            q = super().forward(h)
            self.codes[: len(h)] = q.mean.detach().to(self.codes)
            return q

    return Variant("memory-of-test-images", Greedy)


@caught_by("memory")
def memory_outside_of_the_checkpoint() -> Variant:
    class Forgetful(Associative):
        def __init__(self, features: int, context: int, *, items: int) -> None:
            super().__init__(features, context, items=items)
            for name in ("codes", "known"):
                self.register_buffer(name, getattr(self, name), persistent=False)

    return Variant("memory-outside-of-the-checkpoint", Forgetful)
