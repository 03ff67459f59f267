"""The p-values that the statistical checks reject on: uniform, or larger, when the law holds.

Two designs carry all of them. Means of bounded quantities over independent replicates follow
Hotelling's distribution. Whether draws follow a density is asked of labels, without asymptotics:
mix draws of q with draws of a reference r and hide which is which; then, given its place z, a draw
is one of q with probability q(z) / (q(z) + r(z)), independently of the others.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
#: A check rejects below this, so a correct variant fails it at most once in 100,000 seeds.
ALPHA = 1e-5


def combined(p_values: Sequence[float]) -> float:
    """The p-value of the smallest of n: exact for independent ones (Šidák), else conservative."""
    if not p_values:
        return 1.0
    with np.errstate(divide="ignore"):
        return float(-np.expm1(len(p_values) * np.log1p(-min(p_values))))


def vanishing_mean(replicates: Array, tolerance: float = 1e-9) -> float:
    """P-value of E[x] = 0 for R independent, nearly normal replicates (R, J).

    Hotelling's T² in the subspace where the replicates vary. Means below `tolerance` in a
    direction without variance are rounding errors; larger ones are impossible.
    """
    count = len(replicates)
    x = replicates.reshape(count, -1)
    if not np.isfinite(x).all():
        return 0.0
    mean = x.mean(0)
    _, spread, axes = np.linalg.svd((x - mean) / np.sqrt(count - 1), full_matrices=False)
    varies = spread > tolerance
    along = axes @ mean
    fixed = mean - axes[varies].T @ along[varies]
    if np.abs(fixed).max() > tolerance:
        return 0.0
    rank = int(varies.sum())
    if rank == 0:
        return 1.0
    square = count * float(((along[varies] / spread[varies]) ** 2).sum())
    ratio = (count - rank) / (rank * (count - 1))
    return float(stats.f.sf(square * ratio, rank, count - rank))


def mean_at_most(replicates: Array, limit: float = 0.0, tolerance: float = 1e-9) -> float:
    """P-value of E[x] <= limit for R independent, nearly normal replicates (R,)."""
    if not np.isfinite(replicates).all():
        return 0.0 if np.isnan(replicates).any() or replicates.max() == np.inf else 1.0
    excess = replicates.mean() - limit - tolerance
    error = replicates.std(ddof=1) / np.sqrt(len(replicates))
    if error <= tolerance:
        return 0.0 if excess > 0 else 1.0
    return float(stats.t.sf(excess / error, len(replicates) - 1))


def poisson_binomial(probabilities: Array) -> Array:
    """The law (..., n + 1) of the number of successes in n trials of unequal probability (..., n).

    By one convolution a trial: sums of products of positive numbers, so also the tails are exact.
    """
    *lead, trials = probabilities.shape
    law = np.zeros((*lead, trials + 1))
    law[..., 0] = 1.0
    for i in range(trials):
        p = probabilities[..., i : i + 1]
        law[..., 1 : i + 2] = law[..., 1 : i + 2] * (1 - p) + law[..., : i + 1] * p
        law[..., :1] *= 1 - p
    return law


def exact_normal(counts: Array, law: Array, rng: np.random.Generator) -> Array:
    """Counts (G,) as independent standard normal scores, given their laws (G, n + 1).

    The probability integral transform, with the jump at the count spread out at random.
    """
    places = np.arange(law.shape[-1])
    at = counts[:, None]
    jump = np.where(places == at, law, 0.0).sum(-1)
    below, above = (np.where(side, law, 0.0).sum(-1) for side in (places < at, places > at))
    share = rng.random(len(law))
    low, high = below + share * jump, above + (1 - share) * jump
    impossible = jump <= 0
    scores = np.where(low < high, stats.norm.ppf(low), stats.norm.isf(high))
    return np.where(impossible, np.inf, scores)


def labels_follow(
    labels: Array, probabilities: Array, scores: Array, rng: np.random.Generator, bins: int = 4
) -> float:
    """P-value of: given its place, each draw is one of q with the stated probability.

    Each of the comparisons is exact; they share draws, so together they reject less than they may.

    Args:
        labels: 1 for draws of q, 0 for draws of the reference (N,).
        probabilities: q / (q + r) at each draw (N,).
        scores: Functions of the place (N, J): the first two sort the draws into bins² cells, each
            of the others into nested tails, where few draws stand for much.
        rng: Breaks the ties that counts have.
        bins: Cells are `bins` strata of the first score, each in `bins` of the second.
    """
    size = len(labels) // bins**2
    if not np.isfinite(probabilities).all():
        return 0.0
    rows = np.argsort(scores[:, 0], kind="stable")[: size * bins**2].reshape(bins, -1)
    inner = np.argsort(scores[rows, 1], axis=1, kind="stable")
    cells = np.take_along_axis(rows, inner, 1).reshape(bins**2, size)
    p = probabilities[cells]
    z = exact_normal(labels[cells].sum(1), poisson_binomial(p), rng)
    if np.isinf(z).any():
        return 0.0
    deviation = np.sqrt((p * (1 - p)).sum(1))
    if deviation.sum() == 0:
        return 1.0
    total = float(z @ deviation / np.linalg.norm(deviation))
    rest = max(0.0, float(z @ z) - total**2)
    tails = _tails_follow(labels, probabilities, scores[:, 2:], rng)
    return combined([2 * stats.norm.sf(abs(total)), stats.chi2.sf(rest, bins**2 - 1), *tails])


def _tails_follow(
    labels: Array, probabilities: Array, scores: Array, rng: np.random.Generator
) -> list[float]:
    """P-values of the labels in four nested tails of each score (N, J).

    A tail is the 1/128 of the draws where the score is largest, the next, then 1/64 and 1/32.
    """
    least = len(labels) // 128
    edges = least * np.array([0, 1, 2, 4, 8])
    order = np.argsort(-scores, axis=0, kind="stable")
    cells = [order[a:b, j] for j in range(scores.shape[1]) for a, b in itertools.pairwise(edges)]
    p = np.zeros((len(cells), 4 * least))
    for row, cell in zip(p, cells, strict=True):
        row[: len(cell)] = probabilities[cell]
    counts = np.array([labels[cell].sum() for cell in cells])
    z = exact_normal(counts, poisson_binomial(p), rng).reshape(-1, 4)
    squares = np.where(np.isfinite(z).all(1), np.square(np.nan_to_num(z)).sum(1), np.inf)
    return [float(value) for value in stats.chi2.sf(squares, 4)]
