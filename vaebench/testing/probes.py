"""Test functions whose expectations a gradient must follow, and paths on which they change."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.posterior import Posterior
from vaebench.testing.subjects import exact, sample


class Probes:
    """Two bumps exp(-|z - c|²/2w²) as wide as the pilot draws, one in their middle.

    Args:
        pilot: Draws (N, D), used for nothing else.
    """

    def __init__(self, pilot: Tensor) -> None:
        spread = pilot.std(0) + 1e-9 * (1 + pilot.mean(0).abs())
        distance = ((pilot - pilot.mean(0)) / spread).square().sum(-1)
        self.centres = pilot[torch.stack([distance.argmin(), torch.randint(len(pilot), ())])]
        self.width = 0.9 * math.sqrt(pilot.shape[-1]) * spread

    def __call__(self, z: Tensor) -> Tensor:
        """The values (..., 2) at z (..., D)."""
        u = (z.unsqueeze(-2) - self.centres) / self.width
        return (-u.square().sum(-1) / 2).exp()


def one_heap(q: Distribution, z: Tensor) -> bool:
    """Whether the density has no valley between the highest of the draws and any other.

    Mass that moves from one mode to another moves through places where nearly no draw is and the
    gradient through draws nearly infinite: its mean is then beyond any sample. Valleys are looked
    for on straight lines, which on a sphere are projected back to it.

    Args:
        q: Batch shape (1,), event shape (D,).
        z: Draws of it (N, D).
    """
    top = z[q.log_prob(z[:, None])[:, 0].argmax()]
    line = top + torch.linspace(0, 1, 9, dtype=z.dtype)[:, None, None] * (z - top)
    if bool(((z.norm(dim=-1) - 1).abs() < 1e-5).all()):
        line = line / line.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    log_q = q.log_prob(line.reshape(-1, 1, z.shape[-1])).reshape(len(line), -1)
    lowest = torch.minimum(log_q[0], log_q[-1])
    return bool((log_q[1:-1] >= lowest - 0.5).all())


def neighbour(
    posterior: Posterior, h: Tensor, shared: float = 0.5, towards: Tensor | None = None
) -> Tensor | None:
    """Features (F,) as far from h (F,) as leaves that overlap of q; None where nothing does.

    Args:
        posterior: Makes q.
        h: Where to start.
        shared: The overlap to keep, in (0, 1).
        towards: The direction (F,) to go; a random one if None.
    """
    towards = torch.randn_like(h) if towards is None else towards
    steps = 0.6 ** torch.arange(-5.0, 19.0, dtype=h.dtype)
    others = h + steps[:, None] * h.square().mean().sqrt() * towards
    with torch.no_grad():
        here, there = exact(posterior, h[None]), exact(posterior, others)
        z = sample(here, 200)
        log_there = there.log_prob(z.expand(-1, len(steps), -1))
        odds = torch.sigmoid(log_there - here.log_prob(z)).nan_to_num(0.0)
    good = 2 * odds.mean(0) >= shared
    return others[int(good.int().argmax())] if bool(good.any()) else None


def widening(posterior: Posterior, h: Tensor) -> Tensor:
    """Of sixteen directions (F,) the one along which q changes its width most, its place least."""
    directions = torch.randn(16, len(h), dtype=h.dtype)
    others = torch.cat([h[None], h + 0.3 * h.square().mean().sqrt() * directions])
    with torch.no_grad():
        z = sample(posterior(others), 1000)
    mean, spread = z.mean(0), z.std(0) + 1e-9 * (1 + z.mean(0).abs())
    wider = (spread[1:] / spread[0]).log().mean(-1).abs()
    moved = ((mean[1:] - mean[0]) / spread[0]).square().mean(-1).sqrt()
    return directions[int((wider / (moved + 0.1)).argmax())]
