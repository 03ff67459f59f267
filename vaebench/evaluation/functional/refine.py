"""The best posterior of its family for each image, found by optimising it directly."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vaebench.compute.random import seeded

#: log p(x|z) (K, B) in nats of z (K, B, D).
LogLikelihood = Callable[[Tensor], Tensor]
#: Where in a family a posterior is, as tensors (B, ·): loc and scale, or the features behind it.
Place = tuple[Tensor, ...]
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


class _Family(NamedTuple):
    """Posteriors that a climb may choose from.

    Attributes:
        at: The posterior at a place.
        moved: The place after moves, tensors like it, which all are 0 at the start of a round.
    """

    at: Callable[..., Distribution]
    moved: Callable[[Place, Place], Place]


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
    climb = _Climb(_Family(build, _stretched), p, log_likelihood, steps, samples, draws, rate)
    unit = base.stddev.detach() / start[1]
    first, _ = climb.better(_curved(start, unit, p, log_likelihood), start, "start")
    return climb.run(start, first, rounds)


def refine_features(
    law: Callable[[Tensor], Distribution],
    h: Tensor,
    p: Distribution,
    log_likelihood: LogLikelihood,
    *,
    steps: int = 400,
    samples: int = 8,
    draws: int = 256,
    rate: float = 0.05,
    rounds: int = 6,
) -> Bounds | None:
    """Climb the ELBO of each image in the features that its posterior is computed from.

    The family is then all q(z|h) with h in R^F, whatever it is: what a flow's networks, which all
    images share, make of any features. It is the family of `refine` where one linear layer of full
    rank makes loc and log scale of h. The rounds are those of `refine`, in units of the standard
    deviations of the features over the images.

    Args:
        law: Maps features (B, F) to q, batch shape (B,), event shape (D,).
        h: The encoder's features (B, F).
        p: Prior, batch shape (), event shape (D,).
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), differentiably.
        steps: Number of steps of two rounds.
        samples: K in each.
        draws: K for the ELBOs returned.
        rate: Adam's first learning rate.
        rounds: The most rounds.

    Returns:
        None where draws of q do not depend on h differentiably.

    References:
        Cremer et al. 2018, Inference Suboptimality in Variational Autoencoders,
        arXiv 1801.03558, sec. 3.2.
    """
    start = (h.detach(),)
    if not _differentiable(law, start[0]):
        return None
    spread = h.detach().std(0, correction=0)
    unit = spread.clamp(min=max(spread.mean().item(), 1e-3) / 10)

    def moved(place: Place, by: Place) -> Place:
        return (place[0] + unit * by[0],)

    climb = _Climb(_Family(law, moved), p, log_likelihood, steps, samples, draws, rate)
    return climb.run(start, start, rounds)


def _differentiable(law: Callable[[Tensor], Distribution], h: Tensor) -> bool:
    """Whether draws of q(z|h) depend on h."""
    with torch.enable_grad():
        q = law(h.clone().requires_grad_(True))
        return bool(q.has_rsample and q.rsample().requires_grad)


def _stretched(place: Place, by: Place) -> Place:
    """loc and scale after moves in units of the scale, and of the logarithm of the scale."""
    return place[0] + place[1] * by[0], place[1] * by[1].exp()


class _Climb(NamedTuple):
    """A search in a family for the posterior of the largest ELBO, see `refine`."""

    family: _Family
    p: Distribution
    log_likelihood: LogLikelihood
    steps: int
    samples: int
    draws: int
    rate: float

    def run(self, start: Place, first: Place, rounds: int) -> Bounds:
        """What rounds from `first` come to, beside the encoder's q at `start`."""
        place = first
        for number in range(rounds):
            place, gain = self.better(self._round(place), place, f"round {number}")
            if number and (gain < ARRIVED).all():
                break
        place, _ = self.better(place, start, "trial")
        return Bounds(self._bound(start, "final"), self._bound(place, "final"), gain)

    def better(self, new: Place, old: Place, purpose: str) -> tuple[Place, Tensor]:
        """For each image the better place of two, and by how much the new one is."""
        values, former = self._bound(new, purpose), self._bound(old, purpose)
        chosen = values > former
        place = tuple(n.where(chosen[:, None], o) for n, o in zip(new, old, strict=True))
        return place, (values - former).clamp(min=0)

    def _bound(self, place: Place, purpose: str) -> Tensor:
        with torch.no_grad():
            q = self.family.at(*place)
            return _paired(q, self.p, self.log_likelihood, self.draws, purpose)

    def _round(self, start: Place) -> Place:
        """Half of the steps of Adam, whose rate falls to zero."""
        moves = tuple(torch.zeros_like(each).requires_grad_(True) for each in start)
        steps = max(1, self.steps // 2)
        optimiser = torch.optim.Adam(moves, self.rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
        with torch.enable_grad():
            for _ in range(steps):
                q = self.family.at(*self.family.moved(start, moves))
                value = _elbo(q, self.p, self.log_likelihood, self.samples)
                gradients = torch.autograd.grad(-value.sum(), moves)
                for move, gradient in zip(moves, gradients, strict=True):
                    move.grad = gradient
                optimiser.step()
                schedule.step()
        return tuple(each.detach() for each in self.family.moved(start, moves))


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
    shape = torch.Size((samples,))
    if hasattr(q, "rsample_and_log_prob"):
        z, log_q = q.rsample_and_log_prob(shape)
        return (log_likelihood(z) + p.log_prob(z) - log_q).mean(0)
    z = q.rsample(shape)
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
