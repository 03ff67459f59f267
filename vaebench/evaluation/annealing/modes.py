"""The modes of p(x, u) as a mixture of Gaussians, so that no chain need cross between them."""

import torch
from torch import Tensor

from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.laplace import Fit, climb, fit
from vaebench.evaluation.annealing.starts import Start, Whitening
from vaebench.evaluation.annealing.streams import Random

_MODES = 3
_CLIMBERS = 4  # that go on after the first ascent
_SHALLOW = 10.0  # nats below the best at which a mode is left out
_LEAST = 0.02  # share of the chains under which a component is left out


def valley(joint: Joint, one: Tensor, other: Tensor, lower: Tensor) -> Tensor:
    """Whether log p(x, u) half-way between points (M, B, D) falls below the lower end (M, B)."""
    middle, _ = joint(0.5 * (one + other))
    return middle < lower - 0.1


def ranked(values: Tensor, *parts: Tensor) -> list[Tensor]:
    """Parts (M, B, …) sorted by falling values (M, B), for each image on its own."""
    order = values.argsort(0, descending=True)
    wide = [order.reshape(*order.shape, *[1] * (part.ndim - 2)).expand_as(part) for part in parts]
    return [part.gather(0, index) for part, index in zip(parts, wide, strict=True)]


def peaks(joint: Joint, points: Tensor, first: int, second: int) -> tuple[Tensor, Tensor]:
    """Local maxima (M, B, D) from points (N, B, D), the best first, and which are modes (M, B).

    All points climb for `first` iterations. The best and those that a valley separates from it
    go on for `second`.
    """
    points, values = climb(joint, points, first, rate=0.2)
    if len(points) > 1:
        points, values = ranked(values, points, values)
        apart = valley(joint, points[:1].expand_as(points[1:]), points[1:], values[1:])
        head_start = torch.cat([torch.full_like(values[:1], torch.inf), 1e9 * apart])
        points = ranked(values + head_start, points)[0][:_CLIMBERS]
    points, values = climb(joint, points, second, rate=0.1)
    points, values = ranked(values, points, values)
    mode = values > values[0] - _SHALLOW
    for k in range(1, len(points)):
        apart = valley(joint, points[:k], points[k].expand_as(points[:k]), values[k].expand(k, -1))
        mode[k] &= (apart | ~mode[:k]).all(0)
    points, ordered = ranked(mode.double(), points, mode)
    return points, ordered


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
        torch.full_like(loc[:, 0], -torch.inf, dtype=torch.float64),
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
    climbs: tuple[int, int] = (20, 30),
) -> Start:
    """A mixture of Gaussians at the modes of p(x, u), for each image its own.

    Their shares are in proportion to the square root of exp(ELBO): a mode whose evidence is
    misjudged by a few nats still gets its chains.

    Args:
        joint: log p(x, u), B images.
        points: Where to look (N, B, D).
        random: Random streams.
        rounds: Rounds of `fit` for the best mode; the others get one.
        full: Full covariance matrices, or diagonal ones.
        climbs: Iterations of all climbers, then of those kept.
    """
    points, mode = peaks(joint, points, *climbs)
    fits = [fit(joint, points[0], random("mode 0"), rounds, full=full)]
    for k in range(1, min(_MODES, int(mode.sum(0).max()))):
        fits.append(_fit_some(joint, points[k], mode[k], random, k, full))
    elbo = torch.nan_to_num(torch.stack([found.elbo for found in fits]), nan=-torch.inf)
    share = (0.5 * (elbo - elbo.amax(0).clamp_min(-1e300))).exp() + 1e-300
    share = share / share.sum(0)
    share = share * (share >= _LEAST)
    share, *ordered = ranked(
        share,
        share,
        torch.stack([found.loc for found in fits]),
        torch.stack([found.scale for found in fits]),
    )
    used = int((share > 0).any(1).sum())
    share = torch.cat([share[:used], torch.zeros_like(share[:1])])
    gaussians = [Whitening(loc, scale) for loc, scale in zip(*ordered, strict=True)][:used]
    return Start(joint.space, gaussians, share / share.sum(0))
