"""Chains of conditionals whose blocks do not make up the whole."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence, register_kl

from tests.testing.zoo.base import caught_by
from vaebench import Chain, Gaussian, Posterior, Variant


class LowerHalf(Normal):
    """The lower level's law, for a KL of its own."""


@register_kl(LowerHalf, LowerHalf)
def _the_other_way_round(q: LowerHalf, p: LowerHalf) -> Tensor:
    return kl_divergence(Normal(p.loc, p.scale), Normal(q.loc, q.scale))


def two_levels(kind: type[Chain] = Chain, lower: type[Normal] = Normal) -> type[Posterior]:
    class TwoLevels(Posterior):
        def __init__(self, features: int, context: int) -> None:
            if features < 2:
                raise ValueError("Two levels need two dimensions.")
            super().__init__(features, context)
            self.low = features // 2
            self.top = Gaussian(features - self.low, context)
            self.own = Gaussian(self.low, context)

        def forward(self, h: Tensor) -> Distribution:
            one, two = self.top(h), self.own(h)

            def below(z: Tensor) -> Distribution:
                loc = two.mean + torch.tanh(z[..., : self.low])
                return Independent(lower(loc, two.stddev.expand_as(loc)), 1)

            sizes = self.features - self.low, self.low
            return kind({"z2": (sizes[0], lambda: one), "z1": (sizes[1], below)}, h.shape[:1])

        def prior(self) -> Distribution:
            def below(z: Tensor) -> Distribution:
                loc = z[..., : self.low]
                return Independent(lower(loc, 0.5 * torch.ones_like(loc)), 1)

            sizes = self.features - self.low, self.low
            return kind({"z2": (sizes[0], self.top.prior), "z1": (sizes[1], below)})

    return TwoLevels


class WithoutTheLast(Chain):
    """Counts the first block alone."""

    def log_prob(self, value: Tensor) -> Tensor:
        name = next(iter(self.sizes))
        return self.at(value)[name].log_prob(self.parts(value)[name])


class MapOfMargins(Chain):
    """Maps normals to each block as if those before it were 0."""

    def from_normal(self, u: Tensor) -> Tensor:
        laws = self.at(torch.zeros_like(u))
        parts = self.parts(u)
        return torch.cat([law.mean + law.stddev * parts[name] for name, law in laws.items()], -1)


@caught_by("blocks")
def chain_without_its_last_block() -> Variant:
    return Variant("chain-without-its-last-block", two_levels(WithoutTheLast))


@caught_by("blocks")
def chain_mapped_by_its_margins() -> Variant:
    return Variant("chain-mapped-by-its-margins", two_levels(MapOfMargins))


@caught_by("rates")
def rate_the_other_way_round() -> Variant:
    return Variant("rate-the-other-way-round", two_levels(lower=LowerHalf))
