"""What is decided before the estimating run: where chains start, how they step, and how long."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation import annealing
from vaebench.evaluation.annealing import Schedule
from vaebench.evaluation.joint import Joint, standard_normal
from vaebench.evaluation.kernels import Kernel
from vaebench.evaluation.latent_space import LatentSpace
from vaebench.evaluation.modes import laplace_start
from vaebench.evaluation.starts import FromPrior, Start, gaussian
from vaebench.evaluation.streams import Random, seeded

STARTS = ("laplace", "laplace-diagonal", "proposal", "prior")
SCHEDULES = ("speed", "sigmoid", "linear")
_PILOT_CHAINS = 4
_LEAST_STEPS = 8
_SAFETY = 2.0  # of the variance that the pilot predicts


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
        """Moves of the pilot: as many as a good start needs, more where the way is longer."""
        if self.start == "prior":
            return max(
                12, (self.steps or self.budget // (self.kernel.leapfrogs * self.chains)) // 4
            )
        return 12


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


def points(
    space: LatentSpace, prior: Distribution, draws: Tensor | None, random: Random
) -> tuple[Tensor, Tensor]:
    """Where the search for modes begins, and draws of the prior, both (N, B, D) in u."""
    streams = random("points")
    if space.normal:
        half = streams.normal(4, space.features, dtype=space.dtype)
        wide = torch.cat([half, -half])
    else:
        wide = streams.draw(prior, 8)
    if draws is not None:
        return torch.cat([draws.mean(0, keepdim=True), draws[:3], wide[[0, 4, 1, 5]]]), wide
    if space.radial:
        return wide, wide
    return torch.cat([wide.mean(0, keepdim=True), wide[:-1]]), wide


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


def prepare(
    joint: Joint, prior: Distribution, draws: Tensor | None, random: Random, settings: Settings
) -> Plan:
    """Fit the start of B images and run their pilot."""
    space = joint.space
    look, wide = points(space, prior, draws, random)
    start: Start
    if settings.start == "prior":
        require_finite(joint, wide[:1])
        if space.normal:
            eye = torch.eye(space.features, dtype=wide.dtype, device=wide.device)
            start = gaussian(torch.zeros_like(wide[0]), eye.expand(joint.batch, -1, -1))
        else:
            start = FromPrior(prior, random.pooled(prior), joint.batch)
    elif settings.start == "proposal":
        if draws is None:
            raise ValueError("start='proposal' needs a proposal on the space of the prior.")
        require_finite(joint, draws[:1])
        start = gaussian(draws.mean(0), torch.diag_embed(draws.std(0)))
    else:
        value = require_finite(joint, wide)
        start = laplace_start(
            joint,
            look,
            random,
            prior_elbo=(value - standard_normal(wide)).mean(0) if space.normal else None,
            full=settings.start == "laplace",
        )
    kernel, path = settings.kernel, annealing.path_of(joint, start)
    moves = settings.pilot_moves
    schedule = annealing.pilot(path, start, kernel, random("pilot"), _PILOT_CHAINS, moves)
    steps = enough(schedule.length, joint.evaluations, settings)
    return Plan(start, schedule, steps, joint.evaluations.clone())


def enough(length: Tensor, spent: Tensor, settings: Settings) -> Tensor:
    """The number of steps (B,) for thermodynamic lengths (B,).

    With moves that mix, the variance of a log-weight is length² / steps; rounded up to powers
    of √2, so that images of one number can go together.
    """
    if settings.steps is not None:
        return torch.full_like(length, settings.steps).long()
    left = (settings.budget - spent) // (settings.chains * settings.kernel.leapfrogs)
    needed = _SAFETY * length.square() / (settings.chains * settings.target**2)
    rounded = 2 ** (torch.ceil(2 * needed.clamp_min(1).log2()) / 2)
    return rounded.clamp_min(_LEAST_STEPS).minimum(left.clamp_min(_LEAST_STEPS)).ceil().long()
