"""Priors whose first block takes few values, such as classes: log p(x) = log Σ_s p(s) p(x|s)."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.annealing.estimate import Estimate
from vaebench.evaluation.annealing.joint import LogLikelihood, checked
from vaebench.evaluation.annealing.latent_space import LatentSpace
from vaebench.evaluation.annealing.proposal import Proposal
from vaebench.evaluation.annealing.streams import seeded
from vaebench.evaluation.annealing.weights import effective, log_mean_exp, standard_error

_MOST = 64  # values
_REACH = 9.0  # nats below an image's largest part under which a part is left out
_COUNTS = 0.01  # share of a part whose doubts are those of the sum


@runtime_checkable
class Blocks(Protocol):
    """A distribution of blocks of one vector, as `vaebench.Chain` is."""

    sizes: Mapping[str, int]

    @property
    def first(self) -> Distribution:
        """The distribution of the first block."""

    def after(self, first: Tensor) -> Any:
        """That of the others, given values (..., size) of the first, with a `from_normal`."""


class Pairs:
    """log p(x|s, u) (K, N) of pairs of a value and an image, at u ~ N(0, I) (K, N, D).

    Args:
        chain: The prior.
        first: The value of each pair (N, size).
        log_likelihood: Of the images of the pairs, at all of z.
    """

    def __init__(self, chain: Blocks, first: Tensor, log_likelihood: LogLikelihood) -> None:
        self.chain, self.first, self.log_likelihood = chain, first, log_likelihood

    def __call__(self, u: Tensor) -> Tensor:
        """log p(x|s, u) (K, N) in nats."""
        first = self.first.expand(*u.shape[:-1], -1)
        rest = self.chain.after(self.first).from_normal(u)
        return self.log_likelihood(torch.cat([first, rest], -1))

    @property
    def subset(self) -> "Callable[[Tensor], Pairs] | None":
        """What makes the same of some of the pairs, where the images can be taken apart."""
        take = getattr(self.log_likelihood, "subset", None)
        if take is None:
            return None
        return lambda pairs: Pairs(self.chain, self.first[pairs], take(pairs))


@dataclass(frozen=True)
class Mixture:
    """p(z) = Σ_s p(s) p(rest|s); pair s B + b is value s with image b.

    Attributes:
        chain: p(z).
        values: Those of the first block (S, size).
        log_share: log p(s) (S,).
        space: The coordinates of the rest: N(0, I), of which the chain makes it.
    """

    chain: Blocks
    values: Tensor
    log_share: Tensor
    space: LatentSpace

    def pairs(self, log_likelihood: LogLikelihood, batch: int) -> Pairs:
        """The log-likelihood of all pairs."""
        count = len(self.values)
        take = getattr(log_likelihood, "subset", None)

        def every(z: Tensor) -> Tensor:
            draws = z.unflatten(1, (count, batch)).flatten(0, 1)
            found = checked(log_likelihood(draws), len(draws), batch)
            return found.unflatten(0, (len(z), count)).flatten(1)

        of_pairs = every if take is None else take(torch.arange(batch).repeat(count))
        return Pairs(self.chain, self.values.repeat_interleave(batch, 0), of_pairs)

    def proposed(self, q: Distribution | str | None, batch: int, seed: int) -> Proposal | None:
        """What q(rest|x, s) offers for all pairs, where it is a chain in the same coordinates."""
        if not isinstance(q, Blocks) or q.sizes != self.chain.sizes:
            return None
        first = self.values[:, None].expand(-1, batch, -1)
        with seeded(seed):
            u = q.after(first).sample(torch.Size((64,))).flatten(1, 2)
        z = self.chain.after(first.flatten(0, 1)).from_normal(u)
        if not torch.allclose(z, u, rtol=1e-3, atol=1e-3):
            return None
        u = u.double()
        return Proposal(u.mean(0), u.std(0).clamp_min(1e-6), u[:3])

    def near(self, evidence: Tensor, batch: int) -> Tensor:
        """Which pairs (S B,) count in the sum, by what a pilot has found of log p(x|s)."""
        each = evidence.unflatten(0, (-1, batch)) + self.log_share[:, None]
        return (~each.isfinite() | (each > each.amax(0) - _REACH)).flatten()

    def summed(self, found: Estimate, pairs: Tensor, spent: Tensor, batch: int) -> Estimate:
        """The estimate of B images from those of pairs (P,), all others being left out.

        Its signs, acceptance and steps are those of one pair an image: the largest that is not to
        be trusted, among those that count, or else the largest.

        Args:
            found: Of the pairs.
            pairs: Their numbers.
            spent: Gradients that planning has spent on each of all pairs (S B,).
            batch: B.
        """
        value, image = (pairs // batch).to(spent.device), (pairs % batch).to(spent.device)
        shape = (len(self.values), batch)
        parts = found.log_weights.new_full((len(found.log_weights), *shape), -torch.inf)
        parts[:, value, image] = found.log_weights + self.log_share[value]
        log_weights = parts.logsumexp(1)
        total = log_mean_exp(log_weights)
        share = (found.log_likelihood + self.log_share[value] - total[image]).exp()
        doubt = (share > _COUNTS) & ~found.trusted
        rank = torch.full(shape, -1.0, dtype=share.dtype, device=share.device)
        rank[value, image] = share + 2 * doubt
        place = torch.zeros(shape, dtype=torch.long, device=share.device)
        place[value, image] = torch.arange(len(pairs), device=share.device)
        told = found.take(place.gather(0, rank.argmax(0, keepdim=True))[0])
        planned = spent.unflatten(0, shape).sum(0)
        run = found.evaluations - found.pilot_evaluations
        off = total - told.log_likelihood
        signs = told.signs
        return replace(
            told,
            log_likelihood=total,
            se=standard_error(log_weights),
            log_weights=log_weights,
            ess=effective(log_weights),
            evaluations=planned.index_add(0, image, run),
            pilot_evaluations=planned,
            signs=replace(signs, evidence=signs.evidence + off, rival=signs.rival + off),
        )


def mixture(prior: Distribution) -> Mixture | None:
    """A prior as a mixture over its first block, where that takes few values; None elsewhere.

    The rest has to name a map from a standard normal.
    """
    if not isinstance(prior, Blocks) or prior.batch_shape or len(prior.sizes) < 2:
        return None
    first = prior.first
    if not first.has_enumerate_support:
        return None
    with suppress(NotImplementedError), torch.no_grad():
        values = first.enumerate_support(expand=False)
        if not 1 <= len(values) <= _MOST:
            return None
        features = sum(prior.sizes.values()) - values.shape[-1]
        rest = prior.after(values)
        rest.from_normal(values.new_ones(len(values), features))
        space = LatentSpace(features, lambda u: u, values.dtype, values.device)
        return Mixture(prior, values, first.log_prob(values).double(), space)
    return None
