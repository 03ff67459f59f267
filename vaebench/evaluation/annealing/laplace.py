"""Gaussian fits to p(x, u): found by climbing, then improved to be good on average."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.starts import Whitening
from vaebench.evaluation.annealing.streams import Streams

_CONDITION = 1e6  # that the widths of a Gaussian are at most apart
_NEAR = 0.03  # spread, relative to the prior, of the points that give the first curvature


class Fit(NamedTuple):
    """A Gaussian for each of B images.

    Attributes:
        loc: Means (B, D).
        scale: Square roots of the covariances (B, D, D).
        elbo: Evidence lower bound under it (B,), nats, from the last round of points.
        curvature: The least average curvature of -log p(x, u) that a round after Laplace's met
            (B,), relative to the round's Gaussian; of Laplace's alone, relative to the prior.
    """

    loc: Tensor
    scale: Tensor
    elbo: Tensor
    curvature: Tensor


def climb(joint: Joint, u: Tensor, iterations: int, rate: float = 0.2) -> tuple[Tensor, Tensor]:
    """Climb log p(x, u) with Adam from u (M, B, D).

    Returns:
        The best points met (M, B, D) and the values there (M, B).
    """
    first, second = torch.zeros_like(u), torch.zeros_like(u)
    best, peak = u, u.new_full(u.shape[:-1], -torch.inf, dtype=torch.float64)
    for k in range(iterations):
        value, gradient = joint(u)
        extra, slope = joint.space.height(u)
        value, gradient = value + extra, gradient + slope
        better = value > peak
        best, peak = torch.where(better[..., None], u, best), torch.where(better, value, peak)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient.square()
        mean, root = first / (1 - 0.9 ** (k + 1)), (second / (1 - 0.99 ** (k + 1))).sqrt()
        size = rate * 0.5 * (1 + math.cos(math.pi * k / iterations))
        u = u + size * mean / root.clamp_min(1e-12)
    return best, peak


def ascend(joint: Joint, white: Whitening, u: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Climb log p(x, u) along its gradient in v from u (M, B, D), Newton's way where v is round.

    Each point's step grows while it climbs and shrinks where it would fall.

    Returns:
        The points reached (M, B, D) and the values there (M, B).
    """

    def at(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = white(v)
        value, gradient = joint(u)
        extra, slope = joint.space.height(u)
        return v, value + extra, white.pull(gradient + slope)

    here = at(white.back(u))
    step = torch.ones_like(here[1])
    for _ in range(iterations):
        v, value, gradient = here
        there = at(v + step[..., None] * gradient)
        better = there[1] > value
        here = (
            torch.where(better[..., None], there[0], v),
            torch.where(better, there[1], value),
            torch.where(better[..., None], there[2], gradient),
        )
        step = torch.where(better, 1.5 * step, 0.2 * step)
    return white(here[0]), here[1]


def fit(joint: Joint, loc: Tensor, streams: Streams, rounds: int, *, full: bool = True) -> Fit:
    """Fit a Gaussian around loc (B, D): Laplace's, then `rounds` rounds towards the best one.

    A round evaluates the gradient at 2 D points spread like draws of the Gaussian (a randomly
    rotated cubature rule), which gives E[gradient] and E[Hessian] under it, and takes the Newton
    step after which the first would vanish and the second be the inverse covariance.

    Args:
        joint: log p(x, u), B images.
        loc: Where to begin (B, D).
        streams: Random numbers of the rotations.
        rounds: Rounds after Laplace's approximation; each costs 2 D + 2 evaluations, as it does.
        full: A full covariance matrix, or a diagonal one.

    References:
        Opper & Archambeau 2009, The variational Gaussian approximation revisited, Neural
        Computation 21(3), sec. 2; Arasaratnam & Haykin 2009, Cubature Kalman filters, IEEE Trans.
        Automatic Control 54(6), sec. III.
    """
    batch, features = loc.shape
    eye = torch.eye(features, dtype=loc.dtype, device=loc.device).expand(batch, -1, -1)
    width = _NEAR / math.sqrt(features)
    # No direction is taken to be much wider than the prior, nor far from the last round's width.
    found = _round(joint, Whitening(loc, width * eye), eye, 0.25 * width**2, 1 / width, full)
    least: list[Tensor] = []
    for _ in range(rounds):
        normal = streams.normal(features, features, dtype=torch.float64).movedim(1, 0)
        rotation = torch.linalg.qr(normal).Q
        white = Whitening(found.loc, found.scale)
        least.append(found.curvature)
        found = _round(joint, white, rotation, 0.1, math.sqrt(features), full)
    return found._replace(curvature=torch.stack([*least, found.curvature])[1:].amin(0))


def _round(
    joint: Joint, white: Whitening, rotation: Tensor, least: float, reach: float, full: bool
) -> Fit:
    """One Newton step in v, with no curvature below `least`.

    A move beyond `reach` is cut to it, unless log p(x, u) is higher at its full length.
    """
    features = rotation.shape[-1]
    points = math.sqrt(features) * rotation.movedim(-1, 0)
    value, gradient = joint(white(torch.cat([points, -points])))
    gradient = white.pull(gradient)
    ahead, behind = gradient.chunk(2)
    slope = (behind - ahead).movedim(0, -1) / (2 * math.sqrt(features))
    curvature = slope @ rotation.mT
    if not full:
        curvature = torch.diag_embed(curvature.diagonal(dim1=-2, dim2=-1))
    values, vectors = torch.linalg.eigh(0.5 * (curvature + curvature.mT))
    lowest = values[:, 0]
    values = values.clamp_min(least).maximum(_CONDITION**-2 * values[:, -1:])
    move = (vectors @ ((vectors.mT @ gradient.mean(0)[..., None]) / values[..., None]))[..., 0]
    short = move * (reach / move.norm(dim=-1, keepdim=True).clamp_min(reach))
    ends = white(torch.stack([short, move]))
    height, _ = joint(ends)
    loc = torch.where((height[1] > height[0])[:, None], ends[1], ends[0])
    scale = white.scale @ vectors * values.rsqrt()[:, None]
    entropy = 0.5 * features * math.log(2 * math.pi * math.e) + white.log_volume
    return Fit(loc, scale, value.mean(0) + entropy, lowest)
