"""Wrong shapes, sizes and names."""

from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
    Normal,
)

from tests.testing.zoo.base import caught_by, family, normal
from vaebench import Gaussian, Posterior, Variant
from vaebench.models.posterior import positive


@caught_by("shapes")
def normal_without_independent() -> Variant:
    return Variant("normal-without-independent", family(lambda m, s: Normal(m, s)))


@caught_by("shapes")
def mixture_without_rsample() -> Variant:
    class Mixture(Posterior):
        def __init__(self, features: int, context: int) -> None:
            super().__init__(features, context)
            self.head = nn.Linear(context, 3 + 6 * features)

        def forward(self, h: Tensor) -> Distribution:
            logits, rest = self.head(h).split([3, 6 * self.features], -1)
            loc, raw = rest.unflatten(-1, (3, -1)).chunk(2, -1)
            return MixtureSameFamily(Categorical(logits=logits), normal(loc, positive(raw)))

    return Variant("mixture-without-rsample", Mixture)


@caught_by("sizes")
def two_sizes_only() -> Variant:
    def make(features: int, context: int) -> Posterior:
        if features not in (2, 3):
            raise ValueError("only two or three dimensions")
        return Gaussian(features, context)

    return Variant("two-sizes-only", make)


@caught_by("name")
def name_with_a_slash() -> Variant:
    return Variant("name/with a slash", Gaussian)
