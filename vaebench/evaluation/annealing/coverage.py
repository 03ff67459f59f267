"""Does the start cover the posterior? Chains from the prior tell, and join where it does not."""

from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from vaebench.evaluation.annealing import chains
from vaebench.evaluation.annealing.chains import Measured
from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.kernels import Kernel
from vaebench.evaluation.annealing.laplace import ascend, climb, fit
from vaebench.evaluation.annealing.modes import Found, valley
from vaebench.evaluation.annealing.signs import BEYOND, HOLE, Signs
from vaebench.evaluation.annealing.starts import Start, prior_start
from vaebench.evaluation.annealing.streams import Random
from vaebench.evaluation.annealing.weights import (
    log_mean_exp,
    mean_weight_error,
    standard_error,
)

_HOPELESS = 100.0  # nats by which the prior's ELBO is too low for a chain to start there
_LEAST = 0.125  # share of the chains that start at the prior, where any do
_COUNTS = 5.0  # nats below the evidence down to which a chain's weight counts, or a mode
_LIGHT = 1.5  # nats below the evidence from which on a mode can be missed
_CLIMBS = (20, 12)  # iterations, in the coordinates of the prior and of the start
_LEFT = 3  # climbers left on their way that go on
_FURTHER = 40  # iterations for these
_ROUNDS = (1, 8)  # of fits there: these go on where climbing along a bent ridge is slow


def covered(
    joint: Joint,
    start: Start,
    measured: Measured,
    log_weights: Tensor,
    gap: Tensor,
    images: Tensor,
    random: Random,
    kernel: Kernel,
    moves: int,
) -> tuple[Start, Measured]:
    """Let some chains start at the prior too, where that is called for.

    That is in few dimensions, where it costs little; where the prior's ELBO is about as good as
    the start; and where a pilot chain from the prior ends, with a weight that counts, at a place
    that the start does not cover. Where the prior's ELBO is hopelessly low no chain is sent.

    Args:
        joint: log p(x, u), B images.
        start: Gaussians.
        measured: What the pilot from there measured.
        log_weights: Of its chains (C, B), nats.
        gap: The prior's ELBO less the evidence that the pilot found (B,), nats.
        images: Which images to look at.
        random: Random streams.
        kernel: The moves.
        moves: Number of moves of the pilot.

    Returns:
        The start and the measurements with those chains counted in.
    """
    images = images[(gap > -_HOPELESS)[images].cpu()]
    if not len(images):
        return start, measured
    part = joint.take(images)
    if part is None:
        images, part = torch.arange(joint.batch), joint
    gap, evidence = gap[images], log_mean_exp(log_weights)[images]
    ours = start.take(images)
    all_prior = ours.with_prior(torch.ones_like(gap))
    streams = random.take(images)("prior pilot")
    path = chains.path_of(part, all_prior)
    theirs, state, weights = chains.pilot(path, all_prior, kernel, streams, moves)
    if part is not joint:
        joint.evaluations[images] += part.evaluations
    missed = overlooked(state.end - ours(state.v)[0], weights, evidence)
    as_good = (0.5 * gap).sigmoid()
    found = (log_mean_exp(weights) - evidence).sigmoid()
    least = (1.0 if joint.space.few else 0.5) * missed
    share = as_good.maximum(2 * found - 1).maximum(least).clamp(_LEAST, 1 - _LEAST)
    called_for = missed | (as_good > _LEAST) | joint.space.few
    share = share * (called_for & (gap > -_HOPELESS))
    # Chains that bring nothing home add no variance either.
    weight = share * (2 * found).clamp_max(1)
    whole = start.share[-1].clone()
    whole[images] = share
    return start.with_prior(whole), measured.with_part(images, theirs, weight, weight)


def overlooked(log_ratio: Tensor, weights: Tensor, evidence: Tensor) -> Tensor:
    """Whether chains with weights (C, B) that count end where a start has a hole (B,)."""
    return ((log_ratio > evidence + HOLE) & (weights > evidence - _COUNTS)).any(0)


def rivalled(
    joint: Joint,
    start: Start,
    measured: Measured,
    log_weights: Tensor,
    signs: Signs,
    random: Random,
    kernel: Kernel,
    moves: int,
) -> tuple[Start, Measured, Signs]:
    """Let most chains start at the prior where a pilot from there finds more than the start's.

    An estimate of log p(x) is low rather than high, so that the larger one has missed less.

    Returns:
        The start, the measurements and the signs, with what that pilot found where they are odd.
    """
    images = signs.odd.nonzero()[:, 0].cpu()
    if not len(images):
        return start, measured, signs
    part = joint.take(images)
    if part is None:
        images, part = torch.arange(joint.batch), joint
    streams = random.take(images)
    prior = prior_start(part.space, part.space.draw(streams("spread"), 64))
    path = chains.path_of(part, prior)
    theirs, state, weights = chains.pilot(path, prior, kernel, streams("prior pilot"), moves)
    evidence = log_mean_exp(log_weights)[images]
    u = prior.whitening(state.v)
    height = state.end - prior.log_volume
    missed = overlooked(height - start.take(images).log_density(u), weights, evidence)
    if part is not joint:
        joint.evaluations[images] += part.evaluations
    rival, chance = log_mean_exp(weights), mean_weight_error(weights)
    signs = signs.with_rival(images, rival, standard_error(weights))
    chance = chance.hypot(mean_weight_error(log_weights[:, images]))
    better = rival > evidence + BEYOND * chance
    whole = start.share[-1].clone()
    share = better.to(whole)
    whole[images] = torch.where(better, 1 - _LEAST, _LEAST * (missed | joint.space.few).to(whole))
    start = start.with_prior(whole)
    chosen = images[better.cpu()]
    if len(chosen):
        start = start.within(chosen, prior.whitening.take(better.nonzero()[:, 0]))
    return start, measured.with_part(images, theirs, share, share), signs


def searched(
    joint: Joint,
    start: Start,
    signs: Signs,
    found: Found,
    random: Random,
    kernel: Kernel,
    moves: int,
) -> Signs:
    """The signs with what a search from the prior knows and what is strange to the start.

    Four chains are annealed from the prior and climb from where they end; some climbers that the
    search for modes left on their way go on. A mode counts if it is at most a few nats lower than
    the best; the start has not met it if it has a hole there. What a Gaussian fitted to the highest
    of these weighs tells whether it matters.
    """
    evidence = signs.evidence.maximum(signs.rival)
    prior = prior_start(joint.space, joint.space.draw(random("spread"), 64))
    path = chains.path_of(joint, prior)
    _, state, weights = chains.pilot(path, prior, kernel, random("search"), moves)
    ends = prior.whitening(state.v)
    ratio = state.end - prior.log_volume - start.log_density(ends)
    missed = overlooked(ratio, weights, evidence)
    points, _ = climb(joint, ends, _CLIMBS[0])
    points, _ = ascend(joint, start.whitening, points, _CLIMBS[1])
    points = torch.cat([start.whitening.center[None], points])
    values, _ = joint(points)
    heights = values + joint.space.height(points)[0]
    counts = (heights > heights.amax(0) - _COUNTS)[1:]
    new = counts & (values - start.log_density(points) > evidence + HOLE)[1:]
    known = counts.any(0) & ~new.any(0) & ~missed
    strange = _heavy(joint, points[1:], heights[1:], new, evidence, random, 1)
    left, there, unmet = _left(joint, start, found, evidence)
    unmet &= there > heights.amax(0) - _COUNTS
    for rounds, k in product(_ROUNDS, range(_LEFT)):
        some = unmet[k : k + 1] & ~strange
        strange |= _heavy(joint, left[k : k + 1], there[k : k + 1], some, evidence, random, rounds)
    return replace(signs, known=known, strange=strange)


def _left(
    joint: Joint, start: Start, found: Found, evidence: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where climbers lead that were left beyond a valley, and whether a start has holes there.

    In the coordinates of one mode the way to another may be long.

    Returns:
        Points (3, B, D), heights there, -inf for none, and whether these are holes, both (3, B).
    """
    places, heights = found.places, found.heights
    beyond = _beyond(joint, start, found, evidence)
    order, index = heights.where(beyond, -torch.inf).topk(_LEFT, 0)
    points = places.gather(0, index[..., None].expand(-1, -1, places.shape[-1]))
    there, unmet = torch.full_like(order, -torch.inf), torch.zeros_like(order, dtype=torch.bool)
    images = order[0].isfinite().nonzero()[:, 0].cpu()
    part = joint.take(images) if len(images) else None
    if part is None:
        return points, there, unmet
    ours = start.take(images)
    climbed, _ = climb(part, points[:, images], _FURTHER, rate=0.1)
    climbed, values = ascend(part, ours.whitening, climbed, _CLIMBS[1])
    values = values.where(order[:, images].isfinite(), -torch.inf)
    ratio = values - part.space.height(climbed)[0] - ours.log_density(climbed)
    points[:, images], there[:, images] = climbed, values
    unmet[:, images] = ratio > evidence[images] + HOLE
    if part is not joint:
        joint.evaluations[images] += part.evaluations
    return points, there, unmet


def _beyond(joint: Joint, start: Start, found: Found, evidence: Tensor) -> Tensor:
    """Which of the places (N, B) are in holes of a start, and across a valley from its middle."""
    places, heights = found.places, found.heights
    hole = heights - joint.space.height(places)[0] - start.log_density(places) > evidence + HOLE
    images = hole.any(0).nonzero()[:, 0].cpu()
    part = joint.take(images) if len(images) else None
    if part is None:
        return torch.zeros_like(hole)
    places, middle = places[:, images], start.whitening.center[images]
    across = valley(part, middle.expand_as(places), places, heights[:, images])
    hole[:, images] &= across
    if part is not joint:
        joint.evaluations[images] += part.evaluations
    return hole


def _heavy(
    joint: Joint,
    points: Tensor,
    heights: Tensor,
    new: Tensor,
    evidence: Tensor,
    random: Random,
    rounds: int,
) -> Tensor:
    """Whether the highest of the new ones (C, B) among points (C, B, D) weighs much (B,)."""
    heavy = new.any(0)
    images = heavy.nonzero()[:, 0].cpu()
    part = joint.take(images) if len(images) else None
    if part is None:
        return heavy
    best = heights.where(new, -torch.inf).argmax(0)[images]
    found = fit(part, points[best, images], random.take(images)("search"), rounds)
    joint.evaluations[images] += part.evaluations if part is not joint else 0
    heavy[images] = found.elbo > evidence[images] - _LIGHT
    return heavy
