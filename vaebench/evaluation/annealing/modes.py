"""The modes of p(x, u) as a mixture of Gaussians, so that no chain need cross between them."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.laplace import Fit, ascend, climb, fit
from vaebench.evaluation.annealing.signs import MOST_MODES
from vaebench.evaluation.annealing.starts import Start, Whitening
from vaebench.evaluation.annealing.streams import Random

_SAME = 1.0  # distance in whitened coordinates under which two points are one
_CLIMBERS = 2  # that go on with Adam after the first ascent
_SHALLOW = 10.0  # nats below the best at which a mode is left out
_NEAR = 5.0  # nats below the best down to which modes count
_LEAST = 0.02  # share of the chains under which a component is left out


class Found(NamedTuple):
    """What the search for the posterior found, for B images.

    Attributes:
        start: Gaussians at the modes.
        modes: Number of modes (B,).
        curvature: See `signs.Signs` (B,).
        places: Where the other climbers are (N, B, D): at modes, or still on their way.
        heights: log p(x, u) there, with the height of the space (N, B).
    """

    start: Start
    modes: Tensor
    curvature: Tensor
    places: Tensor
    heights: Tensor


def valley(joint: Joint, one: Tensor, other: Tensor, lower: Tensor) -> Tensor:
    """Whether the height half-way between points (M, B, D) falls below the lower end (M, B)."""
    between = 0.5 * (one + other)
    return joint(between)[0] + joint.space.height(between)[0] < lower - 0.1


def ranked(values: Tensor, *parts: Tensor) -> list[Tensor]:
    """Parts (M, B, …) sorted by falling values (M, B), for each image on its own."""
    order = values.argsort(0, descending=True)
    wide = [order.reshape(*order.shape, *[1] * (part.ndim - 2)).expand_as(part) for part in parts]
    return [part.gather(0, index) for part, index in zip(parts, wide, strict=True)]


def distinct(
    joint: Joint, white: Whitening, points: Tensor, values: Tensor, most: int
) -> list[Tensor]:
    """At most `most` points (M, B, D), the modes first and of them the first point.

    Returns:
        The points, which are modes (M, B), and the values there (M, B).
    """
    head = torch.full_like(values[:1], torch.inf)
    points, values, _ = ranked(torch.cat([head, values[1:]]), points, values, values)
    mode = values > values.amax(0) - _SHALLOW
    v = white.back(points).movedim(1, 0)
    near = (torch.cdist(v, v) < _SAME).movedim(0, -1)
    mode &= ~(near & (near.new_ones(near.shape[:2]).tril(-1)[..., None])).any(1)
    mode[0] = True
    lower = values[1:].minimum(values[:1])
    mode[1:] &= valley(joint, points[:1].expand_as(points[1:]), points[1:], lower)
    points, mode, values = ranked(_first(mode), points, mode, values)
    points, mode, values = points[:most], mode[:most], values[:most]
    for k in range(2, len(points)):
        lower = values[1:k].minimum(values[k])
        apart = valley(joint, points[1:k], points[k].expand_as(points[1:k]), lower)
        mode[k] &= (apart | ~mode[1:k]).all(0)
    return ranked(_first(mode), points, mode, values)


def _first(mode: Tensor) -> Tensor:
    """An order (M, B) in which the modes come first, otherwise as before."""
    return mode.double() - torch.linspace(0, 0.5, len(mode)).to(mode.device)[:, None]


def _fit_some(joint: Joint, loc: Tensor, where: Tensor, random: Random, k: int, full: bool) -> Fit:
    """A Gaussian around loc (B, D) where asked for, elsewhere one without evidence."""
    images = where.nonzero()[:, 0].cpu()
    part = joint.take(images)
    if part is None:
        found = fit(joint, loc, random(f"mode {k}"), 1, full=full)
        return found._replace(elbo=found.elbo.where(where, -torch.inf))
    found = fit(part, loc[images], random.take(images)(f"mode {k}"), 1, full=full)
    joint.evaluations[images] += part.evaluations
    eye = torch.eye(loc.shape[-1], dtype=loc.dtype, device=loc.device)
    whole = Fit(
        loc.clone(),
        eye.repeat(len(loc), 1, 1),
        torch.full_like(loc[:, 0], -torch.inf),
        torch.ones_like(loc[:, 0]),
    )
    for mine, theirs in zip(whole, found, strict=True):
        mine[images] = theirs
    return whole


def laplace_start(
    joint: Joint,
    points: Tensor,
    random: Random,
    *,
    rounds: int = 4,
    full: bool = True,
    climbs: tuple[int, int, int] = (20, 30, 12),
) -> Found:
    """A mixture of Gaussians at the modes of p(x, u), for each image its own.

    Their shares are in proportion to the square root of exp(ELBO): a mode whose evidence is
    misjudged by a few nats still gets its chains.

    Args:
        joint: log p(x, u), B images.
        points: Where to look (N, B, D).
        random: Random streams.
        rounds: Rounds of `fit` for the best mode; the others get one.
        full: Full covariance matrices, or diagonal ones.
        climbs: Iterations of all climbers, of the best ones after that, and of the others in the
            coordinates in which the best mode is round.
    """
    points, values = climb(joint, points, climbs[0], rate=0.2)
    (points,) = ranked(values, points)
    best, heights = climb(joint, points[:_CLIMBERS], climbs[1], rate=0.1)
    (best,) = ranked(heights, best)
    first = fit(joint, best[0], random("mode 0"), rounds, full=full)
    others = torch.cat([best[1:], points[_CLIMBERS:]])
    white = Whitening(first.loc, first.scale)
    others, values = ascend(joint, white, others, climbs[2])
    middle = first.loc[None]
    height = joint(middle)[0] + joint.space.height(middle)[0]
    points, heights = torch.cat([middle, others]), torch.cat([height, values])
    points, mode, height = distinct(joint, white, points, heights, MOST_MODES)
    fits = [first]
    for k in range(1, int(mode.sum(0).max())):
        fits.append(_fit_some(joint, points[k], mode[k], random, k, full))
    elbo = torch.nan_to_num(torch.stack([found.elbo for found in fits]), nan=-torch.inf)
    share = (0.5 * (elbo - elbo.amax(0).clamp_min(-1e300))).exp() + 1e-300
    share = share / share.sum(0)
    share = share * (share >= min(_LEAST, 0.5 / len(fits)))
    share, *ordered = ranked(
        share,
        share,
        torch.stack([found.loc for found in fits]),
        torch.stack([found.scale for found in fits]),
    )
    used = int((share > 0).any(1).sum())
    share = torch.cat([share[:used], torch.zeros_like(share[:1])])
    gaussians = [Whitening(loc, scale) for loc, scale in zip(*ordered, strict=True)][:used]
    start = Start(joint.space, gaussians, share / share.sum(0))
    within = mode & (height > height.amax(0) - _NEAR)
    modes = within.sum(0).clamp_min(1)
    return Found(start, modes, first.curvature, others, values)
