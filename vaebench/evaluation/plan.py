"""What is decided before the estimating run: where chains start, how they step, and how long."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation import annealing
from vaebench.evaluation.annealing import Schedule
from vaebench.evaluation.joint import Joint
from vaebench.evaluation.kernels import Kernel
from vaebench.evaluation.latent_space import LatentSpace
from vaebench.evaluation.modes import laplace_start
from vaebench.evaluation.starts import (
    Start,
    gaussian_start,
    log_mean_exp,
    prior_start,
    whole_chains,
)
from vaebench.evaluation.streams import Random, seeded

STARTS = ("laplace", "laplace-diagonal", "proposal", "prior")
SCHEDULES = ("speed", "sigmoid", "linear")
_HOPELESS = 100.0  # nats by which the prior's ELBO is too low for a chain to start there
_LEAST_PRIOR = 0.125  # share of the chains that start at the prior, where any do
_FEW = 4  # latents up to which some always do
_UNCOVERED = 6.0  # nats above the evidence at which log p(x, u) - log q(u) shows a hole in q
_COUNTS = 5.0  # nats below the evidence down to which a chain's weight counts
_LEAST_STEPS = 8
_SAFETY = 1.5  # of the variance that the pilot predicts
_FORGETFUL = 2.0  # length of a path, in whitened coordinates, that forgets its beginning


@dataclass(frozen=True)
class Settings:
    """How a run is made; `ais` says what each means."""

    chains: int
    steps: int | None
    kernel: Kernel
    start: str
    target: float
    budget: int
    schedule: str
    resample: bool

    def __post_init__(self) -> None:
        if self.chains < 1 or (self.steps is not None and self.steps < 1):
            raise ValueError(f"chains and steps are at least 1, not {self.chains}, {self.steps}.")
        if not isinstance(self.kernel, Kernel):
            raise ValueError(f"kernel is 'hmc', 'hais' or a Kernel, not {self.kernel!r}.")
        if self.start not in STARTS:
            raise ValueError(f"start is one of {', '.join(STARTS)}, not {self.start!r}.")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule is one of {', '.join(SCHEDULES)}, not {self.schedule!r}.")
        if not (self.target > 0 and self.budget > 0):
            raise ValueError(f"target and budget are positive, not {self.target}, {self.budget}.")

    @property
    def pilot_moves(self) -> int:
        """Moves of the pilot: 36 leapfrogs behind a fitted start, a quarter of the run else."""
        leapfrogs = self.kernel.leapfrogs
        if self.start != "prior":
            return max(12, 36 // leapfrogs)
        return max(12, (self.steps or self.budget // (leapfrogs * self.chains)) // 4)


@dataclass(frozen=True)
class Plan:
    """What pilot and fit have found for B images.

    Attributes:
        start: Where chains begin.
        schedule: Speeds and step sizes.
        steps: Number of steps of each image (B,).
        evaluations: Gradients of the decoder spent so far on each image (B,).
    """

    start: Start
    schedule: Schedule
    steps: Tensor
    evaluations: Tensor

    def take(self, images: Tensor) -> "Plan":
        """The plan of some of the images."""
        start, schedule = self.start.take(images), self.schedule.take(images)
        return Plan(start, schedule, self.steps[images], self.evaluations[images])

    def betas(self, kind: str) -> Tensor:
        """Inverse temperatures 0 … 1 (N + 1, B), N the largest number of steps."""
        steps = int(self.steps.max())
        knots = self.schedule.knots
        if kind == "speed":
            return self.schedule.betas(steps)
        if kind == "sigmoid":
            return annealing.sigmoid_schedule(steps, knots)
        return torch.linspace(0, 1, steps + 1).to(knots)[:, None].expand(-1, knots.shape[1])


def proposed(proposal: Distribution, space: LatentSpace, batch: int, seed: int) -> Tensor | None:
    """Draws of q(z|x) in u (K, B, D), or None where no way leads back from z to u.

    Raises:
        ValueError: The proposal has another shape, or draws that are not finite.
    """
    shape = (batch, space.features)
    if (*proposal.batch_shape, *proposal.event_shape) != shape:
        raise ValueError(
            f"The proposal has batch shape {tuple(proposal.batch_shape)} and event shape "
            f"{tuple(proposal.event_shape)}: they have to be ({batch},) and ({space.features},)."
        )
    with seeded(seed):
        z = proposal.sample(torch.Size((64,))).to(space.dtype)
    if not torch.isfinite(z).all():
        raise ValueError("The proposal gives draws that are not finite.")
    return space.from_z(z)


def require_finite(joint: Joint, u: Tensor) -> Tensor:
    """log p(x, u) (K, B), or a ValueError that names the images for which it is not finite."""
    value, gradient = joint(u)
    reachable = value > -torch.inf
    broken = value.isnan() | value.isposinf() | (~gradient.isfinite().all(-1) & reachable)
    broken = broken.any(0) | ~reachable.any(0)
    if broken.any():
        which = broken.nonzero()[:, 0].tolist()
        more = f" and {len(which) - 3} more" if len(which) > 3 else ""
        raise ValueError(
            "log_likelihood or its gradient is not finite for image "
            f"{', '.join(map(str, which[:3]))}{more}: check the images and the decoder's weights."
        )
    return value


def prepare(joint: Joint, draws: Tensor | None, random: Random, settings: Settings) -> Plan:
    """Fit the start of B images and run their pilot; `draws` (K, B, D) of the proposal in u."""
    space, kernel = joint.space, settings.kernel
    wide = space.draw(random("points"), 8)
    prior_elbo = (require_finite(joint, wide) - space.log_prior(wide)).mean(0)
    best = torch.full_like(prior_elbo, torch.inf)
    if settings.start == "prior":
        start = prior_start(space, space.draw(random("exact"), 64))
    elif settings.start == "proposal":
        if draws is None:
            raise ValueError("start='proposal' needs a proposal on the space of the prior.")
        start = gaussian_start(space, draws.mean(0), torch.diag_embed(draws.std(0)))
    else:
        look = wide
        if draws is not None:
            look = torch.cat([draws.mean(0, keepdim=True), draws[:3], wide[:4]])
        start, best = laplace_start(joint, look, random, full=settings.start == "laplace")
    start, measured, weight = _with_pilot(joint, start, prior_elbo - best, random, settings)
    schedule = measured.schedule(weight)
    start = start.with_shares(whole_chains(start.share, settings.chains))
    steps = enough(schedule, joint.evaluations, settings)
    return Plan(start, schedule, steps, joint.evaluations.clone())


def _with_pilot(
    joint: Joint, start: Start, gap: Tensor, random: Random, settings: Settings
) -> tuple[Start, annealing.Measured, Tensor]:
    """Run the pilot, and let chains start at the prior too where that is called for.

    A second group of pilot chains starts at the prior unless its ELBO is hopelessly lower (`gap`
    (B,), nats). The prior gets a share of the start in few dimensions, where this costs little;
    where it is about as good as the Gaussians; and where one of its chains ends, with a weight
    that counts, at a place that the Gaussians do not cover.
    """
    kernel, moves = settings.kernel, settings.pilot_moves
    hopeful = gap > -_HOPELESS
    groups = 2 if hopeful.any() else 1
    mixed = start.with_prior(0.5 * hopeful) if groups == 2 else start
    path = annealing.path_of(joint, mixed)
    measured, state, log_weights = annealing.pilot(
        path, mixed, kernel, random("pilot"), groups, moves
    )
    if groups == 1:
        return start, measured, torch.ones_like(measured.part)
    ours, theirs = log_weights.chunk(2)
    evidence = log_mean_exp(ours)
    uncovered = state.end - start(state.v)[0] > evidence + _UNCOVERED
    missed = (uncovered.chunk(2)[1] & (theirs > evidence - _COUNTS)).any(0)
    share = (0.5 * gap).sigmoid()
    called_for = missed | (share > _LEAST_PRIOR) | (joint.space.features <= _FEW)
    share = share.maximum(2 * measured.part[1] - 1).clamp(_LEAST_PRIOR, 1 - _LEAST_PRIOR)
    share = share * (hopeful & called_for)
    # Chains that bring nothing home add no variance either.
    weight = torch.stack([1 - share, share * (2 * measured.part[1]).clamp_max(1)])
    return start.with_prior(share), measured, weight


def enough(schedule: Schedule, spent: Tensor, settings: Settings) -> Tensor:
    """The number of steps (B,) that the target asks for, within the budget.

    With moves that forget where they came from the variance of a log-weight is length² / steps;
    moves of a shorter path than about 2 in whitened coordinates need as many more. Rounded up to
    powers of √2, so that images with equal numbers can go together.
    """
    length = schedule.length
    if settings.steps is not None:
        return torch.full_like(length, settings.steps).long()
    leapfrogs = settings.kernel.leapfrogs
    path = leapfrogs * schedule.log_step.mean(0).exp()
    independent = length.square() / (settings.chains * settings.target**2)
    needed = _SAFETY * independent * (_FORGETFUL / path).clamp_min(1)
    rounded = 2 ** (torch.ceil(2 * needed.clamp_min(1).log2()) / 2)
    affordable = (settings.budget - spent) // (settings.chains * leapfrogs)
    return rounded.clamp_min(_LEAST_STEPS).minimum(affordable.clamp_min(_LEAST_STEPS)).ceil().long()
