"""What is decided before the estimating run: where chains start, how they step, and how long."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaebench.evaluation.annealing import chains
from vaebench.evaluation.annealing.chains import Schedule
from vaebench.evaluation.annealing.coverage import covered, rivalled, searched
from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.modes import laplace_start
from vaebench.evaluation.annealing.proposal import Proposal
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.signs import HOLE, Signs
from vaebench.evaluation.annealing.starts import Start, gaussian_start, prior_start, whole_chains
from vaebench.evaluation.annealing.streams import Random
from vaebench.evaluation.annealing.weights import log_mean_exp

_LEAST_STEPS = 8
_SAFETY = 2.4  # of the variance that the pilot predicts
_FORGETFUL = 2.0  # length of a path, in whitened coordinates, that forgets its beginning


@dataclass(frozen=True)
class Plan:
    """What pilot and fit have found for B images.

    Attributes:
        start: Where chains begin.
        schedule: Speeds and step sizes.
        steps: Number of steps of each image (B,).
        evaluations: Gradients of the decoder spent so far on each image (B,).
        signs: What speaks for and against the start.
    """

    start: Start
    schedule: Schedule
    steps: Tensor
    evaluations: Tensor
    signs: Signs

    def take(self, images: Tensor) -> "Plan":
        """The plan of some of the images."""
        return Plan(
            self.start.take(images),
            self.schedule.take(images),
            self.steps[images],
            self.evaluations[images],
            self.signs.take(images),
        )

    def uncovered(self, log_ratio: Tensor, log_weights: Tensor) -> Tensor:
        """The share (B,) of chains that end in holes of the Gaussians where they start.

        Args:
            log_ratio: log p(x, u) less log-density of the start and log p(x) at the ends (C, B).
            log_weights: Of the chains (C, B).
        """
        fitted = self.signs.evidence.isfinite() & (self.start.share[-1] < 0.5)
        return (log_weights.softmax(0) * (log_ratio > HOLE)).sum(0) * fitted

    def betas(self, kind: str) -> Tensor:
        """Inverse temperatures 0 … 1 (N + 1, B), N the largest number of steps."""
        steps = int(self.steps.max())
        knots = self.schedule.knots
        if kind == "speed":
            return self.schedule.betas(steps)
        if kind == "sigmoid":
            return chains.sigmoid_schedule(steps, knots)
        return torch.linspace(0, 1, steps + 1).to(knots)[:, None].expand(-1, knots.shape[1])


def require_finite(joint: Joint, u: Tensor) -> Tensor:
    """log p(x, u) (K, B), or a ValueError that names the images for which it is not finite."""
    value, gradient = joint.evaluate(u)
    reachable = value > -torch.inf
    broken = value.isnan() | value.isposinf() | (~gradient.isfinite().all(-1) & reachable)
    broken = broken.any(0) | ~reachable.any(0)
    if broken.any():
        which = joint.images[broken.cpu()].tolist()
        more = f" and {len(which) - 3} more" if len(which) > 3 else ""
        raise ValueError(
            "log_likelihood or its gradient is not finite for image "
            f"{', '.join(map(str, which[:3]))}{more}: check the images and the decoder's weights."
        )
    return value


def prepare(joint: Joint, proposal: Proposal | None, random: Random, settings: Settings) -> Plan:
    """Fit the start of B images and run their pilot."""
    space, found = joint.space, None
    wide = space.draw(random("points"), 32 if space.few else 8)
    prior_elbo = (require_finite(joint, wide) - space.log_prior(wide)).mean(0)
    if settings.start == "prior":
        start = prior_start(space, space.draw(random("spread"), 64))
    elif settings.start == "proposal":
        if proposal is None:
            raise ValueError("start='proposal' needs a proposal on the space of the prior.")
        start = gaussian_start(space, proposal.loc, torch.diag_embed(proposal.spread))
    else:
        look = torch.cat([wide[:20], space.opposite(wide[: 8 if space.few else 4])])
        if proposal is not None:
            look = torch.cat([proposal.loc[None], proposal.draws, look])
        found = laplace_start(joint, look, random, full=settings.start == "laplace")
        start = found.start
    path, moves = chains.path_of(joint, start), settings.pilot_moves
    measured, _, log_weights = chains.pilot(path, start, settings.moves, random("pilot"), moves)
    signs = Signs.none(log_weights[0])
    if settings.start != "prior":
        evidence = log_mean_exp(log_weights)
        if found is not None:
            signs = replace(
                signs,
                modes=found.modes,
                curvature=found.curvature,
                length=measured.schedule().length,
                evidence=evidence,
            )
        usual = (~signs.odd).nonzero()[:, 0].cpu()
        start, measured = covered(
            joint,
            start,
            measured,
            log_weights,
            prior_elbo - evidence,
            usual,
            random,
            settings.moves,
            moves,
        )
        start, measured, signs = rivalled(
            joint, start, measured, log_weights, signs, random, settings.moves, 3 * moves
        )
    start = start.with_shares(whole_chains(start.share, settings.chains))
    schedule = measured.schedule()
    steps = enough(schedule, joint.evaluations, settings)
    if found is not None:
        signs = searched(joint, start, signs, found, random, settings.moves, moves)
    return Plan(start, schedule, steps, joint.evaluations.clone(), signs)


def enough(schedule: Schedule, spent: Tensor, settings: Settings) -> Tensor:
    """The number of steps (B,) that the target asks for, within the budget.

    With moves that forget where they came from the variance of a log-weight is length² / steps;
    moves of a shorter path than about 2 in whitened coordinates need as many more. Rounded up to
    powers of √2, so that images with equal numbers can go together.
    """
    length = schedule.length
    if settings.steps is not None:
        return torch.full_like(length, settings.steps).long()
    leapfrogs = settings.moves.leapfrogs
    path = leapfrogs * schedule.log_step.mean(0).exp()
    independent = length.square() / (settings.chains * settings.target**2)
    needed = _SAFETY * independent * (_FORGETFUL / path).clamp_min(1)
    rounded = 2 ** (torch.ceil(2 * needed.clamp_min(1).log2()) / 2)
    affordable = (settings.budget - spent) // (settings.chains * leapfrogs)
    return rounded.clamp_min(_LEAST_STEPS).minimum(affordable.clamp_min(_LEAST_STEPS)).ceil().long()
