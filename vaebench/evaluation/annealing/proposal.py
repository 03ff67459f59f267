"""What the search for the posterior takes from q(z|x)."""

from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.annealing.latent_space import LatentSpace
from vaebench.evaluation.annealing.streams import seeded


class Proposal(NamedTuple):
    """What the start takes from q(z|x), in the coordinates u.

    Attributes:
        loc: Means (B, D).
        spread: Standard deviations (B, D).
        draws: Draws (3, B, D).
    """

    loc: Tensor
    spread: Tensor
    draws: Tensor

    def take(self, images: Tensor) -> "Proposal":
        """The proposals of some of the images."""
        return Proposal(self.loc[images], self.spread[images], self.draws[:, images])


def proposed(q: Distribution, space: LatentSpace, batch: int, seed: int) -> Proposal | None:
    """What q(z|x) offers in u, or nothing where no way leads back from z to u.

    Raises:
        ValueError: q has another shape, or draws that are not finite.
    """
    if (*q.batch_shape, *q.event_shape) != (batch, space.features):
        raise ValueError(
            f"The proposal has batch shape {tuple(q.batch_shape)} and event shape "
            f"{tuple(q.event_shape)}: they have to be ({batch},) and ({space.features},)."
        )
    with seeded(seed):
        z = q.sample(torch.Size((64,))).to(space.dtype)
    if not torch.isfinite(z).all():
        raise ValueError("The proposal gives draws that are not finite.")
    u = space.from_z(z)
    if u is None:
        return None
    loc, spread = u.mean(0), u.std(0)
    if torch.equal(u, z.double()):
        with suppress(NotImplementedError):
            loc, spread = q.mean.double(), q.variance.sqrt().double()
    return Proposal(loc, spread.clamp_min(1e-6), u[:3])
