"""Test functions whose expectations a gradient must follow, and paths on which they change."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.posterior import Posterior
from vaebench.testing.subjects import exact, sample


class Probes:
    """Bumps exp(-|z - c|²/2w²) around a few of the pilot draws, as wide as the draws lie there.

    They are steep only where draws are dense. Mass that moves from one mode to another moves
    through places where nearly no draw is and the gradient is nearly infinite: of these a test
    function must know nothing, or its mean is beyond any sample.

    Args:
        pilot: Draws (N, D), used for nothing else.
        count: J, the number of bumps.
    """

    def __init__(self, pilot: Tensor, count: int = 2) -> None:
        spread = pilot.std(0) + 1e-9 * (1 + pilot.mean(0).abs())
        self.centres = pilot[torch.randperm(len(pilot))[:count]]
        widths = []
        for centre in self.centres:
            distance = ((pilot - centre) / spread).square().sum(-1)
            near = pilot[distance.argsort()[: max(2, len(pilot) // 4)]]
            widths.append(1.5 * near.std(0) + 1e-3 * spread)
        self.widths = torch.stack(widths)

    def __call__(self, z: Tensor) -> Tensor:
        """The values (..., J) at z (..., D)."""
        u = (z.unsqueeze(-2) - self.centres) / self.widths
        return (-u.square().sum(-1) / 2).exp()


def overlap(q: Distribution, other: Distribution, z: Tensor) -> Tensor:
    """The mass (B,) that two distributions share, from draws z (N, B, D) of the first."""
    odds = torch.sigmoid(other.log_prob(z) - q.log_prob(z))
    return 2 * odds.nan_to_num(0.0).mean(0)


def neighbour(posterior: Posterior, h: Tensor, shared: float = 0.5) -> Tensor | None:
    """Features (F,) as far from h (F,) as leaves that overlap of q; None where nothing does."""
    steps = 0.5 ** torch.arange(-1.0, 16.0, 0.5, dtype=h.dtype)
    others = h + steps[:, None] * h.square().mean().sqrt() * torch.randn_like(h)
    with torch.no_grad():
        z = sample(exact(posterior, h[None]), 256).expand(-1, len(steps), -1)
        same = exact(posterior, h.expand(len(steps), -1))
        good = overlap(same, exact(posterior, others), z) >= shared
    return others[int(good.int().argmax())] if bool(good.any()) else None
