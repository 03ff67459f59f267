"""Test functions whose expectations a gradient must follow, and paths on which they change."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.posterior import Posterior
from vaebench.testing.subjects import exact, sample


class Probes:
    """Bumps exp(-|z - c|²/2w²) around a few of the pilot draws.

    They are as wide as all draws where these form one heap, else as the heap around the centre.

    Args:
        pilot: Draws (N, D), used for nothing else.
        q: Their density, with batch shape (1,), if it has one.
        count: J, the number of bumps.

    Attributes:
        one_heap: Whether no valley of the density lies between the centres and any draw. Mass that
            moves from one mode to another moves through places where nearly no draw is and the
            gradient nearly infinite: its mean is then beyond any sample.
    """

    def __init__(self, pilot: Tensor, q: Distribution | None, count: int = 2) -> None:
        spread = pilot.std(0) + 1e-9 * (1 + pilot.mean(0).abs())
        u = (pilot - pilot.mean(0)) / spread
        middle = u.square().sum(-1).argmin()[None]
        self.centres = pilot[torch.cat([middle, torch.randperm(len(pilot))[: count - 1]])]
        heaps = [_heap(pilot, c, q) if q else _nearest(pilot, c) for c in self.centres]
        self.one_heap = q is None or all(len(heap) == len(pilot) for heap in heaps)
        if self.one_heap and q is not None:
            self.widths = 0.9 * math.sqrt(pilot.shape[-1]) * spread
        else:
            self.widths = torch.stack([0.9 * heap.std(0) for heap in heaps]) + 1e-3 * spread

    def __call__(self, z: Tensor) -> Tensor:
        """The values (..., J) at z (..., D)."""
        u = (z.unsqueeze(-2) - self.centres) / self.widths
        return (-u.square().sum(-1) / 2).exp()


def _nearest(pilot: Tensor, centre: Tensor) -> Tensor:
    """The quarter of the draws that are nearest."""
    distance = ((pilot - centre) / pilot.std(0).clamp_min(1e-12)).square().sum(-1)
    return pilot[distance.argsort()[: max(2, len(pilot) // 4)]]


def _heap(pilot: Tensor, centre: Tensor, q: Distribution) -> Tensor:
    """The draws with no valley of the density between them and the centre.

    It is looked for on straight lines, which on a sphere are projected back to it.
    """
    share = torch.linspace(0, 1, 7, dtype=pilot.dtype)[:, None, None]
    line = centre + share * (pilot - centre)
    if bool(((pilot.norm(dim=-1) - 1).abs() < 1e-5).all()):
        line = line / line.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    log_q = q.log_prob(line.flatten(0, 1)[:, None]).reshape(len(share), -1)
    lowest = torch.minimum(log_q[0], log_q[-1])
    heap = pilot[(log_q[1:-1] >= lowest - 0.5).all(0)]
    return heap if len(heap) >= 20 else _nearest(pilot, centre)


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
    steps = 0.6 ** torch.arange(-1.0, 20.0, dtype=h.dtype)
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
