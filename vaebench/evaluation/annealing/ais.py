"""log p(x) by annealed importance sampling, for any decoder and any continuous prior."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.precision import full_precision
from vaebench.evaluation.annealing.chains import first_state, path_of, run
from vaebench.evaluation.annealing.joint import Joint, LogLikelihood
from vaebench.evaluation.annealing.kernels import Kernel
from vaebench.evaluation.annealing.latent_space import LatentSpace, latent_space
from vaebench.evaluation.annealing.plan import Plan, prepare
from vaebench.evaluation.annealing.proposal import Proposal, proposed
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.signs import Signs
from vaebench.evaluation.annealing.streams import Random, seeds_of
from vaebench.evaluation.annealing.weights import (
    effective,
    log_mean_exp,
    mean_weight_error,
    standard_error,
)


@dataclass(frozen=True)
class Estimate:
    """The log-likelihood of B images, with what is needed to believe it.

    Attributes:
        log_likelihood: Estimates of log p(x) (B,), nats, float64; exp of them is unbiased, so
            that they are low rather than high.
        se: Standard errors over the chains (B,), nats, as wide as Student's t for so few.
        log_weights: Of each chain (C, B), nats.
        ess: Effective number of chains (B,), at most C.
        acceptance: Mean probability of acceptance (B,).
        steps: Steps from the start to the posterior (B,).
        evaluations: Gradients of the decoder spent on each image (B,), all of them.
        pilot_evaluations: Of these, the ones spent on fitting the start and on the pilots (B,).
        uncovered: The share of the posterior, as the chains tell it, that lies where the Gaussians
            at which they start have holes (B,); 0 where they start otherwise.
        signs: What the search for the posterior told of its shape.
    """

    log_likelihood: Tensor
    se: Tensor
    log_weights: Tensor
    ess: Tensor
    acceptance: Tensor
    steps: Tensor
    evaluations: Tensor
    pilot_evaluations: Tensor
    uncovered: Tensor
    signs: Signs

    def _reasons(self) -> dict[str, Tensor]:
        chains = len(self.log_weights)
        many, bent = self.signs.many, self.signs.bent
        alone = ~self.signs.agree(self.log_likelihood)
        many = many & ~self.signs.complete(self.log_likelihood)
        return {
            f"fewer than a quarter of the {chains} chains are effective": self.ess < chains / 4,
            "fewer than a fifth of the moves are accepted": self.acceptance < 0.2,
            "the standard error is above .25 nats": self.se > 0.25,
            "three or more modes were found, and there may be others": many & alone,
            "the posterior is bent, unlike the Gaussians where the chains start": bent & alone,
            "a quarter of the posterior is where hardly any chain starts": self.uncovered > 0.25,
            "a search from the prior leads to a mode that was not found": self.signs.strange,
        }

    @property
    def mean_se(self) -> float:
        """Standard error of the mean over images that is due to the sampler, nats."""
        return mean_weight_error(self.log_weights).square().sum().sqrt().item() / len(self.se)

    @property
    def trusted(self) -> Tensor:
        """Whether nothing speaks against the estimate (B,).

        That is its effective number, acceptance and standard error; that the start covers the
        places where chains end, and those to which a search from the prior leads; and the shape of
        the posterior: where it has three or more modes, or is bent as rings and funnels are, such
        a search has to confirm the estimate.
        """
        return ~torch.stack(list(self._reasons().values())).any(0)

    @property
    def warnings(self) -> list[str]:
        """A sentence for each reason not to trust some of the estimates."""
        return [
            f"{int(which.sum())} of {len(which)} log-likelihoods are not to be trusted: {reason}; "
            "ask for more steps or a larger budget."
            for reason, which in self._reasons().items()
            if which.any()
        ]

    def take(self, images: Tensor) -> "Estimate":
        """The estimates of some of the images."""
        signs, values = self.signs.take(images), dict(vars(self))
        del values["signs"]
        return Estimate(**{k: v[..., images] for k, v in values.items()}, signs=signs)


class Task:
    """Images whose likelihoods are asked for, and how.

    Args:
        log_likelihood: As in `ais`.
        space: The coordinates of the annealing.
        batch: B.
        settings: How the run is made.
        seed: Seed of all random numbers.
        memory: Bytes that one call of the decoder may keep for its gradient; by default what
            suits the device.
    """

    def __init__(
        self,
        log_likelihood: LogLikelihood,
        space: LatentSpace,
        batch: int,
        settings: Settings,
        seed: int,
        memory: float | None,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch is at least 1, not {batch}.")
        self.settings = settings
        self.joint = Joint(log_likelihood, space, batch, memory)
        self.random = Random(seeds_of(seed, batch), space.device)

    def take(self, images: Tensor) -> "Task | None":
        """The task for some of the images, where log_likelihood can be taken apart."""
        if len(images) == self.joint.batch:
            return self
        joint = self.joint.take(images)
        if joint is None:
            return None
        part = copy(self)
        part.joint, part.random = joint, self.random.take(images)
        return part

    def split(self, chunk: int | None) -> list["Task"]:
        """Tasks of at most `chunk` images where they can be taken apart, else this one."""
        images = torch.arange(self.joint.batch)
        tasks = [self.take(part) for part in images.split(chunk or len(images))]
        return [self] if None in tasks else [task for task in tasks if task is not None]

    def plan(self, proposal: Proposal | None) -> Plan:
        """Fit the start and run the pilot; the proposal is one of all images."""
        mine = None if proposal is None else proposal.take(self.joint.images)
        return prepare(self.joint, mine, self.random, self.settings)

    def by_steps(self, plan: Plan) -> list[tuple["Task", Plan, Tensor]]:
        """Tasks of images with equal numbers of steps, their plans and their images."""
        groups = [(plan.steps == n).nonzero()[:, 0].cpu() for n in plan.steps.unique()]
        parts = [(self.take(group), plan.take(group), group) for group in groups]
        whole = [(task, part, group) for task, part, group in parts if task is not None]
        return whole if len(whole) == len(parts) else [(self, plan, torch.arange(self.joint.batch))]

    def estimate(self, plan: Plan) -> Estimate:
        """The estimate of all images of this task."""
        parts = [(task.anneal(part), images) for task, part, images in self.by_steps(plan)]
        order = torch.cat([images for _, images in parts]).argsort()
        return side_by_side([part for part, _ in parts]).take(order)

    def anneal(self, plan: Plan) -> Estimate:
        """The estimating run, of one number of steps."""
        settings, streams = self.settings, self.random("run")
        before = self.joint.evaluations.clone()
        path = path_of(self.joint, plan.start)
        state = first_state(path, plan.start, streams, settings.chains)
        betas = plan.betas(settings.schedule)
        log_steps = plan.schedule.log_steps(betas)
        log_weights, acceptance, ends = run(
            path, state, settings.moves, betas, log_steps, streams, resample=settings.resample
        )
        estimate = log_mean_exp(log_weights)
        lost = (~estimate.isfinite()).nonzero()[:, 0].cpu()
        if len(lost):
            which = ", ".join(map(str, self.joint.images[lost[:3]].tolist()))
            raise ValueError(f"No chain ends with a finite likelihood for image {which}.")
        return Estimate(
            estimate,
            standard_error(log_weights),
            log_weights,
            effective(log_weights),
            acceptance,
            torch.full_like(plan.steps, len(betas) - 1),
            plan.evaluations + self.joint.evaluations - before,
            plan.evaluations,
            plan.uncovered(ends.log_ratio - estimate, log_weights),
            plan.signs,
        )


def side_by_side(parts: Sequence[Estimate]) -> Estimate:
    """The estimates of all images after one another."""
    names = [name for name in vars(parts[0]) if name != "signs"]
    values = {name: torch.cat([vars(part)[name] for part in parts], -1) for name in names}
    return Estimate(**values, signs=Signs.together([part.signs for part in parts]))


def ais(
    log_likelihood: LogLikelihood,
    prior: Distribution,
    *,
    batch: int,
    proposal: Distribution | str | None = None,
    start: str = "laplace",
    kernel: str | Kernel = "hais",
    chains: int = 16,
    steps: int | None = None,
    target: float = 0.05,
    budget: int = 6000,
    schedule: str = "speed",
    resample: bool = False,
    compile: bool = False,
    seed: int = 0,
    chunk: int | None = None,
    memory: float | None = None,
) -> Estimate:
    """Estimate log p(x) of B images by annealing from a fitted start to the posterior.

    A pilot tunes step sizes, schedule and number of steps of each image and is thrown away; the
    estimating run adapts nothing. The same seed gives the same numbers, the global random state
    is left alone, and the decoder runs in its own full precision (no TF32, no autocast).

    Args:
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), nats, differentiable; called with
            any K >= 1 and all B images. With a method `subset(indices)` that returns the same
            for some of the images, these can be treated apart and in chunks.
        prior: p(z), event shape (D,), batch shape () or (B,): normal, or with a method
            `from_normal(u)` that makes z of u ~ N(0, I), or with a density on R^D, or factorised
            with an inverse distribution function.
        batch: B.
        proposal: q(z|x), batch shape (B,), event shape (D,): where to look for the posterior.
            "prior" is short for `start="prior"`; "laplace" and None look everywhere.
        start: Where chains begin: "laplace" at Gaussians fitted to the modes of p(x, z),
            "laplace-diagonal" the same with diagonal covariances, "proposal" at a Gaussian with
            the moments of the proposal, "prior" at the prior.
        kernel: "hais" (underdamped, one leapfrog step a move), "hmc" (three), or a Kernel.
        chains: C, the number of chains for each image.
        steps: Steps from start to posterior. By default what the pilot of each image deems
            enough for the target, within the budget.
        target: Standard error in nats that the default number of steps aims at.
        budget: Gradients of the decoder for each image that the default number of steps respects.
        schedule: "speed" (constant thermodynamic speed, from the pilot), "sigmoid" or "linear".
        resample: Resample chains between temperatures when few are effective (SMC).
        compile: Let torch.compile make one program of each move: seconds of compiling for fewer
            launches and passes over memory, which pays in long runs and on GPUs.
        seed: Seed of all random numbers.
        chunk: Images treated at a time, where log_likelihood offers `subset`.
        memory: Bytes that one call of the decoder may keep for its gradient; by default what
            suits the device.

    Raises:
        ValueError: An argument is out of range, the prior is discrete, or log_likelihood returns
            a wrong shape or values that are not finite.

    References:
        Neal 2001, Annealed importance sampling, Statistics and Computing 11, eq. 3-5;
        Wu et al. 2017, On the quantitative analysis of decoder-based generative models, arXiv
        1611.04273, sec. 3.
    """
    if isinstance(proposal, str) and proposal not in ("laplace", "prior"):
        raise ValueError(f"proposal is a distribution, 'laplace' or 'prior', not {proposal!r}.")
    settings = Settings(
        chains=chains,
        steps=steps,
        kernel=kernel,
        start="prior" if proposal == "prior" else start,
        target=target,
        budget=budget,
        schedule=schedule,
        resample=resample,
        compile=compile,
    )
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is at least 1, not {chunk}.")
    space = latent_space(prior, batch)
    with torch.inference_mode(False), torch.no_grad(), full_precision(space.device):
        task = Task(log_likelihood, space, batch, settings, seed, memory)
        q = proposed(proposal, space, batch, seed) if isinstance(proposal, Distribution) else None
        parts = [part.estimate(part.plan(q)) for part in task.split(chunk)]
    return side_by_side(parts)
