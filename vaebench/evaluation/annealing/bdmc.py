"""A bracket on log p(x) from both sides, for images simulated from the model."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.precision import full_precision
from vaebench.evaluation.annealing.ais import Task
from vaebench.evaluation.annealing.chains import path_of, run
from vaebench.evaluation.annealing.estimate import Estimate
from vaebench.evaluation.annealing.joint import LogLikelihood
from vaebench.evaluation.annealing.latent_space import latent_space
from vaebench.evaluation.annealing.mixture import mixture
from vaebench.evaluation.annealing.plan import Plan
from vaebench.evaluation.annealing.point import evaluated, point
from vaebench.evaluation.annealing.proposal import proposed
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.streams import Random, seeded, seeds_of
from vaebench.evaluation.annealing.weights import log_mean_exp, standard_error

Simulator = Callable[[Tensor], LogLikelihood | tuple[LogLikelihood, Distribution]]


@dataclass(frozen=True)
class Bracket:
    """Stochastic bounds on log p(x) of B simulated images.

    Attributes:
        lower: The estimates by annealing from the start to the posterior, low in expectation.
        upper: Those by annealing from an exact draw of the posterior to the start (B,), nats,
            high in expectation.
        upper_se: Standard errors of `upper` over its chains (B,), nats.
    """

    lower: Estimate
    upper: Tensor
    upper_se: Tensor

    @property
    def gap(self) -> Tensor:
        """Upper less lower bound (B,), nats; its mean is no less than the bias of `lower`.

        That of one image certifies nothing: it is small by chance, and where both directions stay
        in the same part of a posterior, and may be negative.
        """
        return self.upper - self.lower.log_likelihood

    @property
    def mean_gap(self) -> float:
        """Mean of the gap over images, nats."""
        return self.gap.mean().item()

    @property
    def mean_gap_se(self) -> float:
        """Standard error of the mean gap over images, nats; of one image, infinite."""
        if len(self.gap) == 1:
            return math.inf
        return self.gap.std().item() / math.sqrt(len(self.gap))


class Simulated(Task):
    """Images whose latents are known."""

    def reverse(self, plan: Plan, exact: Tensor) -> tuple[Tensor, Tensor]:
        """Upper bounds (B,) and their standard errors, from draws u (B, D) of the posterior."""
        chains, streams = self.settings.chains, self.random("reverse")
        path = path_of(self.joint, plan.start)
        v = plan.start.whitening.back(exact[None]).expand(chains, -1, -1)
        momentum = streams.normal(chains, v.shape[-1], dtype=v.dtype)
        betas = plan.betas(self.settings.schedule)
        log_steps = plan.schedule.log_steps(betas)
        log_weights, _, _ = run(
            path,
            path.state(v, momentum),
            self.settings.moves,
            betas.flip(0),
            log_steps.flip(0),
            streams,
            resample=self.settings.resample,
        )
        return -log_mean_exp(log_weights), standard_error(log_weights)


def bdmc(
    simulate: Simulator,
    prior: Distribution,
    *,
    batch: int,
    seed: int = 0,
    memory: float | None = None,
    **settings: Any,
) -> Bracket:
    """Bracket log p(x) of B simulated images by bidirectional Monte Carlo.

    The latents of a simulated image are an exact draw of its posterior, and annealing from there
    back to the start bounds log p(x) from above. The gap certifies the settings on images like
    the model's own; it says nothing of real images that are unlike these.

    Args:
        simulate: Maps z (B, D) to the log-likelihood (see `ais`) of images x ~ p(x|z), or to a
            pair of that and q(z|x). It may draw from torch's global generators, which are seeded
            around it and given back.
        prior: p(z), as in `ais`.
        batch: B.
        seed: Seed of all random numbers.
        memory: As in `ais`.
        **settings: The settings of `ais` to certify: start, kernel, chains, steps, target,
            budget, schedule, resample, compile.

    Raises:
        ValueError: As in `ais`, or the first block of the prior is discrete.

    References:
        Grosse, Ghahramani & Adams 2015, Sandwiching the marginal likelihood using bidirectional
        Monte Carlo, arXiv 1511.02543, sec. 4; Wu et al. 2017, arXiv 1611.04273, sec. 3.1.
    """
    chosen = Settings(**settings)
    if mixture(prior) is not None:
        raise ValueError(
            "Annealing back from a draw of class and rest bounds log p(x|class) from above, not "
            "log p(x): there is no bracket where the prior has classes."
        )
    if (place := point(prior)) is not None:
        with torch.no_grad(), full_precision(place.device), seeded(seed):
            simulated = simulate(place.expand(batch, -1))
            log_likelihood = simulated[0] if isinstance(simulated, tuple) else simulated
            known = evaluated(log_likelihood, place, batch, chosen.chains)
        return Bracket(known, known.log_likelihood, known.se)
    space = latent_space(prior, batch)
    with torch.inference_mode(False), torch.no_grad(), full_precision(space.device):
        exact = space.draw(Random(seeds_of(seed, batch), space.device)("exact"), 1)[0]
        with seeded(seed):
            simulated = simulate(space.z(exact[None])[0])
        log_likelihood, q = simulated if isinstance(simulated, tuple) else (simulated, None)
        task = Simulated(log_likelihood, space, batch, chosen, seed, memory)
        plan = task.plan(None if q is None else proposed(q, space, batch, seed))
        lower = task.estimate(plan)
        upper = torch.zeros_like(lower.log_likelihood)
        error = torch.zeros_like(upper)
        for part, its_plan, images in task.by_steps(plan):
            assert isinstance(part, Simulated)
            upper[images], error[images] = part.reverse(its_plan, exact[images])
    return Bracket(lower, upper, error)


def certified(
    simulate: Simulator,
    prior: Distribution,
    *,
    batch: int,
    target: float,
    budget: int = 6000,
    seed: int = 0,
    **settings: Any,
) -> tuple[float, Bracket]:
    """Find the target for `ais` at which the bracket on simulated images closes below `target`.

    Halves it, and so takes four times as many steps, until the mean gap is below the wish, or
    until halving it changes nothing because the budget is spent; then a warning says so.

    Returns:
        The target to run `ais` with, and the bracket that it gave.

    Raises:
        ValueError: As in `ais`, or the bracket is of one image, which certifies nothing.
    """
    if batch == 1:
        raise ValueError("A bracket of one image certifies nothing: simulate more of them.")
    aim = target
    while True:
        found = bdmc(simulate, prior, batch=batch, seed=seed, target=aim, budget=budget, **settings)
        spent = (found.lower.evaluations >= 0.9 * budget).all()
        if found.mean_gap < target:
            return aim, found
        if spent or settings.get("steps") is not None:
            warnings.warn(
                f"The bracket does not close to {target:g} nats: the mean gap is "
                f"{found.mean_gap:.3g} ± {found.mean_gap_se:.2g}; ask for a larger budget.",
                stacklevel=2,
            )
            return aim, found
        aim /= 2
