"""The best posterior of its family for each image, found by optimising it directly."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vaebench.compute.random import seeded

#: log p(x|z) (K, B) in nats of z (K, B, D).
LogLikelihood = Callable[[Tensor], Tensor]


class Bounds(NamedTuple):
    """ELBOs (B,) in nats of the encoder's posterior and of the best one, from the same noise."""

    encoder: Tensor
    best: Tensor


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
) -> Bounds | None:
    """Climb the ELBO of each image in loc and log scale, from the encoder's q.

    Adam with a rate that falls to zero. Where the climb has not helped an image, as judged by
    draws of their own, the encoder's q stands.

    Args:
        q: Posterior, batch shape (B,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), differentiably.
        steps: Number of steps.
        samples: K in each.
        draws: K for the ELBOs returned.
        rate: Adam's first learning rate.

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
    loc, log_scale = start[0].clone(), start[1].log()
    loc.requires_grad_(True), log_scale.requires_grad_(True)
    optimiser = torch.optim.Adam([loc, log_scale], rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    with torch.enable_grad():
        for _ in range(steps):
            value = _elbo(build(loc, log_scale.exp()), p, log_likelihood, samples)
            loc.grad, log_scale.grad = torch.autograd.grad(-value.sum(), (loc, log_scale))
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        both = build(*start), build(loc.detach(), log_scale.detach().exp())
        trial = [_paired(one, p, log_likelihood, draws, "trial") for one in both]
        found = [_paired(one, p, log_likelihood, draws, "final") for one in both]
    return Bounds(found[0], found[1].where(trial[1] > trial[0], found[0]))


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
