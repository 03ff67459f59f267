"""log p(x) by annealed importance sampling, for any decoder and any continuous prior."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.precision import full_precision
from vaebench.evaluation.annealing.chains import first_state, path_of, run
from vaebench.evaluation.annealing.confirmation import confirmed
from vaebench.evaluation.annealing.estimate import Estimate, side_by_side
from vaebench.evaluation.annealing.joint import Joint, LogLikelihood
from vaebench.evaluation.annealing.kernels import Kernel
from vaebench.evaluation.annealing.latent_space import LatentSpace, latent_space
from vaebench.evaluation.annealing.mixture import Mixture, mixture
from vaebench.evaluation.annealing.plan import Plan, prepare
from vaebench.evaluation.annealing.point import evaluated, point
from vaebench.evaluation.annealing.proposal import Proposal, proposed
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.streams import Random, seeds_of
from vaebench.evaluation.annealing.weights import (
    effective,
    log_mean_exp,
    standard_error,
)


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
        return self.tried_again(plan, side_by_side([part for part, _ in parts]).take(order))

    def tried_again(self, plan: Plan, found: Estimate) -> Estimate:
        """The estimate, with what chains from a wider start say where its shape is in doubt."""
        images = (found.open & (plan.start.share[-1] < 0.5)).nonzero()[:, 0].cpu()
        part = self.take(images) if len(images) else None
        if part is None:
            return found
        before = part.joint.evaluations.clone()
        start, values = plan.start.take(images), found.log_likelihood[images]
        same = confirmed(part.joint, start, values, part.random, self.settings)
        evaluations, known = found.evaluations.clone(), found.signs.confirmed.clone()
        evaluations[images] += part.joint.evaluations - before
        known[images] = same
        signs = replace(found.signs, confirmed=known)
        return replace(found, evaluations=evaluations, signs=signs)

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
            with an inverse distribution function. Of a `Chain` whose first block takes few values,
            each value is annealed by itself, with an image's budget, and the sum taken over those
            that a pilot finds within 9 nats of the best. Of a point, whose variance is zero, the
            likelihood there is taken, which is exact.
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
    if (place := point(prior)) is not None:
        with torch.no_grad(), full_precision(place.device):
            return evaluated(log_likelihood, place, batch, chains)
    mixed = mixture(prior)
    space = latent_space(prior, batch) if mixed is None else mixed.space
    with torch.inference_mode(False), torch.no_grad(), full_precision(space.device):
        if mixed is not None:
            pairs = mixed.pairs(log_likelihood, batch)
            offered = mixed.proposed(proposal, batch, seed)
            task = Task(pairs, space, len(mixed.values) * batch, settings, seed, memory)
            return _summed(mixed, task.split(chunk), offered, batch)
        task = Task(log_likelihood, space, batch, settings, seed, memory)
        q = proposed(proposal, space, batch, seed) if isinstance(proposal, Distribution) else None
        parts = [part.estimate(part.plan(q)) for part in task.split(chunk)]
    return side_by_side(parts)


def _summed(
    mixed: Mixture, tasks: Sequence[Task], proposal: Proposal | None, batch: int
) -> Estimate:
    """log p(x) = log Σ_s p(s) p(x|s), of B images, from tasks for the pairs of value and image.

    Pairs that a pilot finds to be too small to count are left out of the sum.
    """
    plans = [task.plan(proposal) for task in tasks]
    near = mixed.near(torch.cat([plan.signs.evidence for plan in plans]), batch).cpu()
    found, kept = [], []
    for task, plan in zip(tasks, plans, strict=True):
        places = near[task.joint.images].nonzero()[:, 0]
        some = task.take(places) if len(places) else None
        if some is not None:
            task, plan = some, plan.take(places)
        if some is not None or len(places):
            found.append(task.estimate(plan))
            kept.append(task.joint.images)
    spent = torch.cat([plan.evaluations for plan in plans])
    return mixed.summed(side_by_side(found), torch.cat(kept), spent, batch)
