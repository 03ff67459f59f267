"""The importance-weighted bound on log p(x), with as many draws as one likes."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.precision import full_precision
from vaebench.evaluation.annealing.joint import LogLikelihood, checked
from vaebench.evaluation.annealing.streams import seeded

_BLOCK = 100  # draws taken at a time, whatever the chunk
_ROWS = 512  # z decoded at a time on a CPU: what its caches hold
_DEVICE_ROWS = 16384  # the same elsewhere


class Curve(NamedTuple):
    """Bounds of B images for several K, nats.

    Attributes:
        k: 1, 2, 5, 10, 20, 50, … below the number of draws, then that number.
        bound: Estimates (len(k), B) of L_K, float64.
    """

    k: tuple[int, ...]
    bound: Tensor


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
    encoders. The draws stream through a running sum, so that K costs time and next to no memory.
    The global random state is left alone.

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
    curve = importance_curve(log_likelihood, prior, q, samples=samples, chunk=chunk, seed=seed)
    return curve.bound[-1]


def importance_curve(
    log_likelihood: LogLikelihood,
    prior: Distribution,
    q: Distribution,
    *,
    samples: int,
    chunk: int | None = None,
    seed: int = 0,
) -> Curve:
    """The importance-weighted bounds for all K of a ladder up to `samples`, from the same draws.

    The draws are cut into groups of K without overlap, and the bounds of the groups averaged:
    unbiased for each K, and the surer the smaller K is. Arguments and errors are those of
    `importance_bound`, which is the last of the bounds.
    """
    if samples < 1 or (chunk is not None and chunk < 1):
        raise ValueError(f"samples and chunk are at least 1, not {samples} and {chunk}.")
    ladder = _ladder(samples)
    sums: dict[int, Tensor] = {}
    blocks = []
    with torch.no_grad(), seeded(seed):
        for begin in range(0, samples, _BLOCK):
            draws = min(_BLOCK, samples - begin)
            log_w = _log_weights(log_likelihood, prior, q, draws, chunk)
            for k, values in _grouped(log_w, 1, [k for k in ladder if k <= _BLOCK]).items():
                total = values.sum(0)
                sums[k] = sums[k] + total if k in sums else total
            blocks.append(log_w.logsumexp(0))
    whole = torch.stack(blocks)
    last = whole.logsumexp(0)
    broken = last.isnan() | last.isposinf()
    if broken.any():
        which = ", ".join(map(str, broken.nonzero()[:3, 0].tolist()))
        raise ValueError(f"log p(x, z) - log q(z|x) is not a number for image {which}.")
    full = whole[: samples // _BLOCK]
    long = _grouped(full, _BLOCK, [k for k in ladder if k > _BLOCK])
    sums |= {k: values.sum(0) for k, values in long.items()}
    means = [sums[k] / (samples // k) - math.log(k) for k in ladder]
    return Curve((*ladder, samples), torch.stack([*means, last - math.log(samples)]))


def _ladder(samples: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, …, as far as they are below `samples`."""
    steps = (m * 10**e for e in range(len(str(samples))) for m in (1, 2, 5))
    return [k for k in steps if k < samples]


def _grouped(values: Tensor, size: int, ladder: list[int]) -> dict[int, Tensor]:
    """Log-sums (n, B) of groups of each K from those (N, B) of groups of `size` draws.

    Each is made of the largest groups before it that it is a multiple of.
    """
    found = {size: values}
    for k in ladder:
        part = max(each for each in found if k % each == 0)
        times, some = k // part, found[part]
        some = some[: len(some) // times * times]
        found[k] = some.unflatten(0, (-1, times)).logsumexp(1) if times > 1 else some
    return {k: found[k] for k in ladder}


def _log_weights(
    log_likelihood: LogLikelihood,
    prior: Distribution,
    q: Distribution,
    draws: int,
    chunk: int | None,
) -> Tensor:
    """log p(x, z) - log q(z|x) (draws, B) of fresh draws, float64."""
    (batch,) = q.batch_shape
    z, log_qz = _draw(q, draws)
    rows = _ROWS if z.device.type == "cpu" else _DEVICE_ROWS
    parts = z.split(chunk or max(1, rows // batch))
    with full_precision(z.device):
        log_px = [checked(log_likelihood(part), len(part), batch) for part in parts]
    return torch.cat(log_px).double() + (prior.log_prob(z).double() - log_qz)
