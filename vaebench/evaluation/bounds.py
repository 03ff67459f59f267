"""The importance-weighted bound on log p(x), with as many draws as one likes."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.joint import LogLikelihood, checked
from vaebench.evaluation.precision import full_precision
from vaebench.evaluation.streams import seeded

_BLOCK = 64  # draws taken at a time, whatever the chunk
_ROWS = 2048  # z decoded at a time by default


def _draw(q: Distribution, count: int) -> tuple[Tensor, Tensor]:
    shape = torch.Size((count,))
    if hasattr(q, "rsample_and_log_prob"):
        return q.rsample_and_log_prob(shape)
    z = q.sample(shape)
    try:
        return z, q.log_prob(z)
    except NotImplementedError:
        raise ValueError(f"{type(q).__name__} has no density: no importance weights.") from None


def importance_bound(
    log_likelihood: LogLikelihood,
    prior: Distribution,
    q: Distribution,
    *,
    samples: int,
    chunk: int | None = None,
    seed: int = 0,
) -> Tensor:
    r"""Estimate :math:`L_K = \log \frac1K \sum_k p(x, z_k) / q(z_k|x)` (B,), nats, float64.

    A lower bound on log p(x) in expectation, whose gap depends on how well q fits: it ranks
    encoders. The draws stream through a running sum, so that K costs time and no memory. The
    global random state is left alone.

    Args:
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), nats.
        prior: p(z), batch shape (), event shape (D,); discrete ones too.
        q: q(z|x), batch shape (B,), event shape (D,), with a density.
        samples: K.
        chunk: Draws decoded at a time; the numbers do not depend on it.
        seed: Seed of the draws.

    Raises:
        ValueError: K is below 1, log_likelihood returns a wrong shape or NaN, or q has no density.

    References:
        Burda et al. 2016, Importance Weighted Autoencoders, arXiv 1509.00519, eq. 8.
    """
    if samples < 1 or (chunk is not None and chunk < 1):
        raise ValueError(f"samples and chunk are at least 1, not {samples} and {chunk}.")
    (batch,) = q.batch_shape
    chunk = chunk or max(1, _ROWS // batch)
    total: Tensor | None = None
    with torch.no_grad(), seeded(seed):
        for begin in range(0, samples, _BLOCK):
            z, log_qz = _draw(q, min(_BLOCK, samples - begin))
            ratio = prior.log_prob(z).double() - log_qz
            with full_precision(z.device):
                for part, rest in zip(z.split(chunk), ratio.split(chunk), strict=True):
                    log_px = checked(log_likelihood(part), len(part), batch)
                    log_w = (log_px + rest).logsumexp(0)
                    total = log_w if total is None else torch.logaddexp(total, log_w)
    assert total is not None
    broken = total.isnan() | total.isposinf()
    if broken.any():
        which = ", ".join(map(str, broken.nonzero()[:3, 0].tolist()))
        raise ValueError(f"log p(x, z) - log q(z|x) is not a number for image {which}.")
    return total - math.log(samples)
