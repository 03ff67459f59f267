"""Priors that are a point: there is nothing to integrate, and log p(x) is log p(x|z) there."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.annealing.estimate import Estimate
from vaebench.evaluation.annealing.joint import LogLikelihood, checked
from vaebench.evaluation.annealing.signs import Signs


def point(prior: Distribution) -> Tensor | None:
    """The value (D,) or (B, D) that has all of the prior's mass, None where no value has."""
    try:
        place, variance = prior.mean, prior.variance
    except (NotImplementedError, AttributeError):
        return None
    return None if variance.ne(0).any() else place


def evaluated(log_likelihood: LogLikelihood, place: Tensor, batch: int, chains: int) -> Estimate:
    """log p(x|z) of B images at the point z, as an estimate without an error.

    Args:
        log_likelihood: As in `ais`.
        place: z, (D,) or (B, D).
        batch: B.
        chains: C, all of which say the same.
    """
    z = place.expand(1, batch, -1)
    value = checked(log_likelihood(z), 1, batch)[0].double()
    if not value.isfinite().all():
        raise ValueError("log_likelihood is not finite at the only value that z has.")
    none, one = torch.zeros_like(value), torch.ones_like(value)
    return Estimate(
        log_likelihood=value,
        se=none,
        log_weights=value.expand(chains, -1),
        ess=chains * one,
        acceptance=one,
        steps=none.long(),
        evaluations=one.long(),
        pilot_evaluations=none.long(),
        uncovered=none,
        signs=Signs.none(value),
    )
