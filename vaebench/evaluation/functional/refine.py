"""The best posterior of its family for each image, found by optimising it directly."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vaebench.compute.random import seeded

#: log p(x|z) (K, B) in nats of z (K, B, D).
LogLikelihood = Callable[[Tensor], Tensor]


#: loc and scale (B, D).
Place = tuple[Tensor, Tensor]
#: Nats an image from which a round of the climb counts as gaining.
ARRIVED = 0.1


class Bounds(NamedTuple):
    """What climbing the ELBO of each image leads to, in nats, from the same noise.

    Attributes:
        encoder: ELBO (B,) of the encoder's posterior.
        best: ELBO (B,) of the best posterior that was found.
        gain: What the last round of the climb added to it (B,): far from 0 where it has not
            arrived.
    """

    encoder: Tensor
    best: Tensor
    gain: Tensor


def location_scale(q: Distribution) -> Callable[[Tensor, Tensor], Distribution] | None:
    """Builds q's family from loc and scale (B, D), None where it is no such product."""
    if not isinstance(q, Independent) or len(q.event_shape) != 1:
        return None
    base: Any = q.base_dist
    if base.event_shape or set(base.arg_constraints) != {"loc", "scale"} or not base.has_rsample:
        return None

    def build(loc: Tensor, scale: Tensor) -> Distribution:
        return Independent(type(base)(loc, scale, validate_args=False), 1)

    return build


def refine(
    q: Distribution,
    p: Distribution,
    log_likelihood: LogLikelihood,
    *,
    steps: int = 200,
    samples: int = 8,
    draws: int = 256,
    rate: float = 0.05,
    rounds: int = 4,
) -> Bounds | None:
    """Climb the ELBO of each image in loc and log scale.

    The start is the encoder's q or, where that is better, what steps by the curvature lead to.
    Half of the steps make a round of Adam, whose rate falls to zero, in units of the scales at its
    start. There are two rounds, and more as long as one still gains. Where the climb has not
    helped an image, as judged by draws of their own, the encoder's q stands.

    Args:
        q: Posterior, batch shape (B,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), differentiably.
        steps: Number of steps of two rounds.
        samples: K in each.
        draws: K for the ELBOs returned.
        rate: Adam's first learning rate.
        rounds: The most rounds.

    Returns:
        None where q is not a product of one location-scale family.

    References:
        Cremer et al. 2018, Inference Suboptimality in Variational Autoencoders,
        arXiv 1801.03558, sec. 3.2.
    """
    build = location_scale(q)
    if build is None:
        return None
    base: Any = q.base_dist  # type: ignore[attr-defined]
    start = base.loc.detach(), base.scale.detach()

    def bound(place: Place, purpose: str) -> Tensor:
        with torch.no_grad():
            return _paired(build(*place), p, log_likelihood, draws, purpose)

    def better(new: Place, old: Place, purpose: str) -> tuple[Place, Tensor]:
        values, former = bound(new, purpose), bound(old, purpose)
        chosen = values > former
        place = (new[0].where(chosen[:, None], old[0]), new[1].where(chosen[:, None], old[1]))
        return place, (values - former).clamp(min=0)

    unit = base.stddev.detach() / start[1]
    place, _ = better(_curved(start, unit, p, log_likelihood), start, "start")
    for number in range(rounds):
        climbed = _climb(place, build, p, log_likelihood, max(1, steps // 2), samples, rate)
        place, gain = better(climbed, place, f"round {number}")
        if number and (gain < ARRIVED).all():
            break
    place, _ = better(place, start, "trial")
    return Bounds(bound(start, "final"), bound(place, "final"), gain)


def _climb(
    start: Place,
    build: Callable[[Tensor, Tensor], Distribution],
    p: Distribution,
    log_likelihood: LogLikelihood,
    steps: int,
    samples: int,
    rate: float,
) -> Place:
    """One round of Adam, in units of the scales that it starts from."""
    moved, stretched = torch.zeros_like(start[0]), torch.zeros_like(start[1])
    moved.requires_grad_(True), stretched.requires_grad_(True)
    optimiser = torch.optim.Adam([moved, stretched], rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)

    def place() -> Place:
        return start[0] + start[1] * moved, start[1] * stretched.exp()

    with torch.enable_grad():
        for _ in range(steps):
            value = _elbo(build(*place()), p, log_likelihood, samples)
            moved.grad, stretched.grad = torch.autograd.grad(-value.sum(), (moved, stretched))
            optimiser.step()
            schedule.step()
    return place()[0].detach(), place()[1].detach()


def _curved(
    start: Place, unit: Tensor, p: Distribution, log_likelihood: LogLikelihood, steps: int = 20
) -> Place:
    """Where natural-gradient steps for a diagonal Gaussian lead, as loc and scale (B, D).

    The optimal precisions are the mean curvatures -E[d^2 log p(x, z)/dz_d^2] under q, and the step
    of loc is the mean gradient over them. Both means are over pairs loc ± stddev e with signs e,
    which are exact where log p(x, z) is quadratic and its axes are those of z. A precision falls
    by a factor of four at most in a step, as where the curvature is not that of a peak.

    References:
        Khan & Lin 2017, Conjugate-Computation Variational Inference, arXiv 1703.04265, sec. 3.
    """
    loc, stddev = start[0].clone(), start[1] * unit
    for step in range(steps):
        signs = torch.randint(0, 2, (4, *loc.shape), device=loc.device).to(loc) * 2 - 1
        signs = torch.cat([signs, -signs])
        z = (loc + stddev * signs).requires_grad_(True)
        with torch.enable_grad():
            value = log_likelihood(z) + p.log_prob(z)
            slopes = torch.autograd.grad(value.sum(), z)[0]
        now = stddev**-2
        precision = (-(slopes * signs).mean(0) / stddev).maximum(now / 4)
        weight = 1 if step < steps // 2 else 0.3
        precision = (1 - weight) * now + weight * precision
        move = slopes.mean(0) / precision
        usable = (move.isfinite() & precision.isfinite()).all(-1, keepdim=True)
        loc = torch.where(usable, loc + move, loc)
        stddev = torch.where(usable, precision**-0.5, stddev)
    return loc, stddev / unit


def _elbo(q: Distribution, p: Distribution, log_likelihood: LogLikelihood, samples: int) -> Tensor:
    z = q.rsample(torch.Size((samples,)))
    return log_likelihood(z).mean(0) - _kl(q, p, z)


def _kl(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return (q.log_prob(z) - p.log_prob(z)).mean(0)


def _paired(
    q: Distribution, p: Distribution, log_likelihood: LogLikelihood, draws: int, purpose: str
) -> Tensor:
    """The ELBO (B,) from the same noise for every q of one shape."""
    parts = max(1, draws // 16)
    with seeded(0, purpose):
        return torch.stack([_elbo(q, p, log_likelihood, 16) for _ in range(parts)]).mean(0)
