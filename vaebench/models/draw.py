"""What an objective is given: draws z and the log-densities that belong to them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench.errors import UserError
from vaebench.models.chain import conditionals
from vaebench.models.distributions import closed_kl, factor_kl
from vaebench.models.items import Seen


class Fixed(NamedTuple):
    """The densities of a draw as functions of z (K, B, D), their own parameters held fixed.

    A gradient flows to z and no further. Estimators that separate the path through the sample
    from the score (sticking the landing, DReG) or encoder from decoder (PIWAE) need them.
    """

    log_qz: Callable[[Tensor], Tensor]
    log_px: Callable[[Tensor], Tensor]


@contextmanager
def held(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Record no gradient for the modules' parameters."""
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def fixed(
    posterior: Callable[[Tensor], Distribution],
    h: Tensor,
    decoder: Iterable[nn.Module],
    log_likelihood: Callable[[Tensor], Tensor],
    law: Callable[[Tensor], Distribution] | None = None,
) -> Fixed:
    """The densities at features h (B, F), without a gradient to h or to any parameter.

    Args:
        posterior: A module mapping h to q(z|h).
        h: Encoder features (B, F).
        decoder: The modules that `log_likelihood`, or the posterior, computes with besides.
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B) in nats.
        law: Maps h to what is drawn from, where that is not the posterior itself.
    """

    def log_qz(z: Tensor) -> Tensor:
        # A posterior may compute with the networks that it is told of, such as the decoder.
        with held([*([posterior] if isinstance(posterior, nn.Module) else []), *decoder]):
            return (law or posterior)(h.detach()).log_prob(z)

    def log_px(z: Tensor) -> Tensor:
        with held(decoder):
            return log_likelihood(z)

    return Fixed(log_qz, log_px)


class Draw(NamedTuple):
    """K draws for B inputs with everything an objective may need; log-densities in nats.

    Attributes:
        q: Posterior q(z|x), batch shape (B,), event shape (D,).
        p: Prior p(z), batch shape (), or (B,) where it depends on a condition; event shape (D,).
        z: Reparameterised draws (K, B, D).
        log_qz: log q(z|x) (K, B); NaN where q has no density.
        log_pz: log p(z) (K, B).
        log_px: log p(x|z) (K, B), summed over pixels.
        log_weights: Logarithms of the weights (K, B), summing to one over K, with which the
            draws stand for q; None for K independent draws, whose weights are 1/K. A stratified
            posterior puts the probability of each stratum here.
        fixed: The densities with fixed parameters, where the harness offers them.
        kl_weight: The weight of log p(z) - log q(z|x) in `log_w` and of `kl`: below 1 while the
            KL term is warmed up in training, 1 otherwise.
        free_bits: The nats λ of each dimension's KL that `kl` leaves free in training; 0 otherwise.
        h: The encoder's features (B, F) that q was made of, where the harness offers them.
        seen: What is known of the items besides, where the harness offers it.
        outputs: What the decoder said (K, B, …) for log p(x|z), where the harness offers it; of
            several modalities a tensor of each part, by name.
        each: log p(x_m|z) (M, K, B) of each part, where items are of several modalities.
        redraw: Maps numbers S of parts to K draws from q(z|x_S), where the harness offers it; see
            `of_parts`.

    Example:
        >>> from torch.distributions import Independent, Normal
        >>> q, p = (Independent(Normal(torch.zeros(b, 2), 1.0), 1) for b in (4, 1))
        >>> made = draw(q, p, lambda z: -z.square().sum(-1), samples=3)
        >>> made.z.shape, made.log_w.shape, made.kl.tolist()
        (torch.Size([3, 4, 2]), torch.Size([3, 4]), [0.0, 0.0, 0.0, 0.0])
    """

    q: Distribution
    p: Distribution
    z: Tensor
    log_qz: Tensor
    log_pz: Tensor
    log_px: Tensor
    log_weights: Tensor | None = None
    fixed: Fixed | None = None
    kl_weight: float = 1.0
    free_bits: float = 0.0
    h: Tensor | None = None
    seen: Seen | None = None
    outputs: Any = None
    each: Tensor | None = None
    redraw: "Callable[[Sequence[int]], Draw] | None" = None

    def of_parts(self, parts: Sequence[int]) -> "Draw":
        """K draws for the same items from q(z|x_S), the posterior's `of_parts`.

        Its `each` is of all parts, seen or not; its `log_px` of those in S alone.

        Args:
            parts: S, the numbers of one part or more, from 0 on.

        Raises:
            ValueError: The items have no parts.
            NotImplementedError: The posterior knows whole items alone.
        """
        if self.redraw is None:
            raise ValueError("The items have no parts (Draw.redraw).")
        found = self.redraw(parts)
        return found._replace(kl_weight=self.kl_weight, free_bits=self.free_bits)

    @property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z|x), (K, B); UserError with free bits, which have no place in it."""
        if self.free_bits:
            raise UserError(
                "Weights p(x, z) / q(z|x) do not separate the KL, of which --free-bits would leave "
                "a part free: leave out one of the two."
            )
        return self.log_px + self.kl_weight * (self.log_pz - self.log_qz)

    def mean(self, values: Tensor) -> Tensor:
        """The estimate of E_q[values] (B, …) from values (K, B, …) at the draws."""
        if self.log_weights is None:
            return values.mean(0)
        weights = self.log_weights.exp()
        return (weights.reshape(weights.shape + (1,) * (values.ndim - 2)) * values).sum(0)

    def pick(self) -> Tensor:
        """The number (B,) of a draw for each input, chosen so that z is a draw from q."""
        if self.log_weights is None:
            return self.z.new_zeros(self.z.shape[1], dtype=torch.long)
        return torch.distributions.Categorical(logits=self.log_weights.detach().T).sample()

    def one(self) -> Tensor:
        """A draw (B, D) from q for each input."""
        return self.z[self.pick(), torch.arange(self.z.shape[1], device=self.z.device)]

    def detached(self) -> "Draw":
        """The same draws and densities without a gradient; q and p keep theirs."""
        tensors: dict[str, Any] = {
            k: v.detach() for k, v in self._asdict().items() if isinstance(v, Tensor)
        }
        return self._replace(**tensors)

    @property
    def kl(self) -> Tensor:
        r"""KL(q(z|x) || p(z)) (B,), in closed form where one is registered, else Monte Carlo.

        For chains of the same blocks it is the mean of the sum of their rates.

        With free bits λ its mean over the batch is

        .. math:: \sum_{d=1}^D \max\Bigl(\lambda,
            \frac1B \sum_b KL\bigl(q(z_d|x_b) \,\|\, p(z_d)\bigr)\Bigr),

        where q and p factorise and the KL of a dimension has a closed form, and otherwise
        :math:`\max(D \lambda, \frac1B \sum_b KL(q(z|x_b) \| p(z)))`; of chains each block is
        treated so, given the blocks before it. What is below its free nats costs every input these
        and has no gradient; the rest costs its KL. No objective that is made of it is a bound then.

        References:
            Kingma et al. 2016, Improving Variational Inference with Inverse Autoregressive Flow,
            arXiv 1606.04934, eq. 15.
        """
        if self.free_bits:
            return self.kl_weight * self._freed()
        kl = closed_kl(self.q, self.p)
        if kl is None:
            kl = self.mean(_total(self._rates()))
        return self.kl_weight * kl

    @property
    def rates(self) -> dict[str, Tensor]:
        """What each block of z costs (K, B), nats; their sum has the expectation `kl`.

        Where q and p are chains of the same blocks, a block's rate is the KL of its laws given the
        blocks before it, in closed form where one is registered, else log q - log p. All else is
        one block, "z". Like `kl` they are weighted by `kl_weight`; nothing of them is free.
        """
        return {name: self.kl_weight * rate for name, rate in self._rates().items()}

    @property
    def rate(self) -> Tensor:
        """The sum of `rates` (K, B), nats."""
        return _total(self.rates)

    def _freed(self) -> Tensor:
        """The KL (B,) less what is free of it, without its weight."""
        blocks = conditionals(self.q, self.p, self.z) or {"z": (self.q, self.p, self.z)}
        rates, paid = self._rates(), []
        for name, (q, p, z) in blocks.items():
            parts, free = factor_kl(q, p), self.free_bits
            if parts is None:
                parts, free = rates[name].unsqueeze(-1), z.shape[-1] * free
            each = self.mean(parts.expand(*z.shape[:-1], -1))
            # A mean that is no number is not less.
            paid.append(torch.where(each.mean(0) < free, free, each).sum(-1))
        return torch.stack(paid).sum(0)

    def _rates(self) -> dict[str, Tensor]:
        blocks = conditionals(self.q, self.p, self.z)
        if blocks:
            return {name: _rate(*block) for name, block in blocks.items()}
        kl = closed_kl(self.q, self.p)
        return {"z": self.log_qz - self.log_pz if kl is None else kl.expand_as(self.log_qz)}


def _rate(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p) (K, B) where it is registered, else log q - log p at z (K, B, size); nats.

    NaN where q has no density.
    """
    kl = closed_kl(q, p)
    return _log_density(q, z) - p.log_prob(z) if kl is None else kl.expand(z.shape[:-1])


def _total(rates: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(rates.values())).sum(0)


def _log_density(q: Distribution, z: Tensor) -> Tensor:
    """log q(z) (K, B) in nats for z (K, B, D); NaN where q has no density."""
    try:
        return q.log_prob(z)
    except NotImplementedError:
        return z.new_full(z.shape[:-1], math.nan)


def halved(
    found: Draw,
    of_parts: Callable[[Sequence[int]], Distribution],
    log_likelihood: Callable[[Tensor], Tensor],
    samples: int,
) -> Draw:
    """The draws as of items of two parts with half of log p(x|z) each, where variants are tried.

    Args:
        found: The draws.
        of_parts: From S to q(z|x_S).
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B) in nats.
        samples: K.
    """

    def each(z: Tensor) -> Tensor:
        return (log_likelihood(z) / 2).expand(2, *z.shape[:-1])

    def redraw(parts: Sequence[int]) -> Draw:
        chosen = list(parts)
        some = draw(of_parts(chosen), found.p, lambda z: each(z)[chosen].sum(0), samples)
        return some._replace(h=found.h, seen=found.seen, each=each(some.z), redraw=redraw)

    return found._replace(each=each(found.z), redraw=redraw)


def draw(
    q: Distribution,
    p: Distribution,
    log_likelihood: Callable[[Tensor], Tensor],
    samples: int,
    *,
    stratified: bool = True,
    fixed: Fixed | None = None,
) -> Draw:
    """Draw z from q and evaluate every density there.

    A distribution may offer two faster or better ways to draw than ``rsample`` then ``log_prob``:
    ``rsample_and_log_prob(shape)`` returns (z, log q(z)) in one pass, and ``rstratified(samples)``
    returns (z, log weights) with draws spread over strata.

    Args:
        q: Posterior, batch shape (B,), event shape (D,).
        p: Prior, batch shape () or (B,), event shape (D,).
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B) in nats.
        samples: K, the number of draws (per stratum, for a stratified posterior).
        stratified: Use ``rstratified`` where offered; False gives independent draws.
        fixed: Passed on to the Draw.
    """
    shape = torch.Size((samples,))
    log_weights = None
    if stratified and hasattr(q, "rstratified"):
        z, log_weights = q.rstratified(samples)
        log_qz = q.log_prob(z)
    elif hasattr(q, "rsample_and_log_prob"):
        z, log_qz = q.rsample_and_log_prob(shape)
    else:
        z = q.rsample(shape)
        log_qz = _log_density(q, z)
    return Draw(q, p, z, log_qz, p.log_prob(z), log_likelihood(z), log_weights, fixed)
