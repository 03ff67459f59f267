"""A ladder of latent levels, inferred from the top down: each level sees those above it."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaebench import Chain, Gaussian, Posterior, Variant, hookimpl


class Level(nn.Module):
    """A diagonal Gaussian of `size` dimensions, given vectors of `given` dimensions together.

    The hidden layer is bounded, so that no feature makes the place of a level infinite.
    """

    def __init__(self, size: int, given: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(given, width)
        self.head = Gaussian(size, width)

    def forward(self, *given: Tensor) -> Distribution:
        """Vectors (..., G), the last with all leading axes, to N(loc, diag scale²)."""
        lead = given[-1].shape[:-1]
        together = torch.cat([each.expand(*lead, -1) for each in given], -1)
        return self.head(torch.tanh(self.hidden(together)))


def merged(one: Any, other: Any) -> Distribution:
    """The normalised product of two diagonal Gaussians: means weighted by their precisions."""
    share = other.variance / (one.variance + other.variance)
    loc, scale = torch.lerp(other.mean, one.mean, share), one.stddev * share.sqrt()
    return Independent(Normal(loc, scale, validate_args=False), 1)


class Ladder(Posterior):
    r"""Levels z_L, …, z_1 with p(z_L) = N(0, I) and learned Gaussians p(z_l | z_{l+1}, …, z_L).

    q(z|x) = q(z_L|x) Π q(z_l|x, z_{l+1}, …, z_L) are Gaussians in the same order. The levels share
    the D dimensions evenly, a remainder going to the lowest ones, and the decoder sees all of them.

    Args:
        features: D, the number of latent dimensions of all levels together.
        context: F, the number of encoder features.
        levels: L; with 1 it is the diagonal Gaussian.
        merge: Make q(z_l|x, …) the precision-weighted product of p(z_l|…) and a Gaussian that sees
            x alone (Sønderby et al., eq. 11-13), in place of a network that sees both.
        width: Hidden units of each level's networks.

    Raises:
        ValueError: There are fewer dimensions than levels, or no level or hidden unit.
    """

    def __init__(
        self, features: int, context: int, levels: int = 2, merge: bool = False, width: int = 128
    ) -> None:
        if not 1 <= levels <= features or width < 1:
            raise ValueError(
                f"A ladder has from 1 to D = {features} levels and a width of 1 or more, not "
                f"{levels} and {width}."
            )
        super().__init__(features, context)
        sizes = [(features + i) // levels for i in range(levels)]
        self.sizes = {f"z{levels - i}": size for i, size in enumerate(sizes)}
        self.merge = merge
        self.top = Gaussian(sizes[0], context)
        above = [sum(sizes[:i]) for i in range(1, levels)]
        self.down = nn.ModuleList(
            Level(size, given, width) for size, given in zip(sizes[1:], above, strict=True)
        )
        self.up = nn.ModuleList(
            Gaussian(size, context) if merge else Level(size, context + given, width)
            for size, given in zip(sizes[1:], above, strict=True)
        )

    def _inferred(self, level: int, h: Tensor, *above: Tensor) -> Distribution:
        if self.merge:
            return merged(self.up[level](h), self.down[level](*above))
        return self.up[level](h, *above)

    def _chain(self, laws: list[Any], batch: torch.Size) -> Chain:
        pairs = zip(self.sizes.items(), laws, strict=True)
        return Chain({name: (size, law) for (name, size), law in pairs}, batch)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to a chain of levels, the highest first."""
        lower = [partial(self._inferred, i, h) for i in range(len(self.down))]
        return self._chain([partial(self.top, h), *lower], h.shape[:-1])

    def prior(self) -> Distribution:
        """The chain of the levels' priors, that of the highest standard normal."""
        top = self.top.prior
        return self._chain([top, *self.down], torch.Size())


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Two levels, trained with the ELBO."""
    return [
        Variant(
            "ladder",
            Ladder,
            reference="Sønderby et al. 2016, arXiv 1602.02282",
            family="posteriors",
            description="Levels of latents, q(z₂|x) q(z₁|x, z₂) against p(z₂) p(z₁|z₂), each "
            "inferred given those above it.",
        )
    ]
