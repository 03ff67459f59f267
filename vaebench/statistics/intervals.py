"""How sure a number is, and whether two rows of a table differ: intervals at the 95 % level."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
#: From so many seeds on the interval is a bootstrap one, below it is Student's.
BOOTSTRAP_FROM = 10
_DRAWS = 10_000


class Score(NamedTuple):
    """What one cell scored on one metric.

    Attributes:
        value: The metric.
        se: The estimator's own standard error, None where it has none.
        images: The values whose mean the metric is, indexed by image; None where it is no mean.
    """

    value: float
    se: float | None = None
    images: pd.Series | None = None


class Interval(NamedTuple):
    """A 95 % interval over seeds; NaN and an empty method for fewer than two values."""

    low: float
    high: float
    method: str


class Difference(NamedTuple):
    """An estimated difference with the half-width of its 95 % interval, NaN where unknown.

    `method` names what the interval is over, such as "3 seeds and 400 images, paired".
    """

    mean: float
    margin: float
    method: str

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero; False where the margin is unknown."""
        return bool(abs(self.mean) > self.margin)


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """The interval of the mean of one value per seed (S,): t below ten seeds, else bootstrap."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(np.nan, np.nan, "")
    if len(x) < BOOTSTRAP_FROM:
        margin = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
        return Interval(x.mean() - margin, x.mean() + margin, "t")
    means = np.einsum("sn,n->s", _resampled(len(x)), x) / len(x)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), "bootstrap")


@lru_cache(maxsize=2)
def _resampled(count: int) -> np.ndarray:
    """How often each of `count` values is in each bootstrap sample, (_DRAWS, count)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(float)


def paired(a: Mapping[int, Score], b: Mapping[int, Score]) -> list[int]:
    """The seeds by which two rows are compared; none where they share too few of them."""
    seeds = sorted(a.keys() & b.keys())
    return seeds if len(seeds) >= min(2, max(len(a), len(b))) else []


def difference(a: Mapping[int, Score], b: Mapping[int, Score]) -> Difference:
    """The difference a - b of two rows, each a score per seed.

    Seeds that both rows have are compared with each other, and in them image with image, since
    images differ far more than variants do. The two sources of error, the training run (over
    seeds) and the estimate (over images, or the estimators' own standard errors), are added in
    quadrature. With one seed the training run is unknown: the difference is one between the two
    trained models.
    """
    seeds = paired(a, b)
    if not seeds:
        return _independent(list(a.values()), list(b.values()))
    values = np.array([a[s].value - b[s].value for s in seeds])
    margin, source = _of_estimate([a[s] for s in seeds], [b[s] for s in seeds])
    if len(seeds) == 1:
        return Difference(float(values[0]), margin, source)
    low, high, _ = interval(values)
    of_seeds = max(values.mean() - low, high - values.mean())
    margin = float(np.hypot(of_seeds, np.nan_to_num(margin)))
    method = " and ".join(filter(None, (f"{len(seeds)} seeds", source)))
    return Difference(float(values.mean()), margin, method)


def _of_estimate(a: list[Score], b: list[Score]) -> tuple[float, str]:
    """The margin from evaluating on a sample of images, equal in all seeds, and its source."""
    pairs = [
        (s.images, t.images)
        for s, t in zip(a, b, strict=True)
        if s.images is not None and t.images is not None
    ]
    if len(pairs) == len(a):
        each = _mean_difference(pairs)
        if len(each) > 1:
            quantile = stats.t.ppf((1 + LEVEL) / 2, len(each) - 1)
            margin = float(quantile * each.std(ddof=1) / np.sqrt(len(each)))
            return margin, f"{len(each)} images, paired"
    return _of_errors(a, b), "their standard errors"


def _mean_difference(pairs: list[tuple[pd.Series, pd.Series]]) -> pd.Series:
    """The differences of pairs by image, averaged over the pairs that have the image."""
    first = pairs[0][0].index
    if all(series.index.equals(first) for pair in pairs for series in pair):
        x, y = (np.stack([pair[i].to_numpy() for pair in pairs]) for i in (0, 1))
        return pd.Series((x - y).mean(0), first)
    return pd.concat([(x - y).dropna() for x, y in pairs], axis=1).mean(axis=1)


def _of_errors(a: list[Score], b: list[Score]) -> float:
    """The margin from the estimators' standard errors, NaN where one has none."""
    squares = [
        np.mean([np.nan if score.se is None else score.se**2 for score in row]) for row in (a, b)
    ]
    return float(stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.sum(squares)))


def _independent(a: list[Score], b: list[Score]) -> Difference:
    """Rows that share no seeds: Student's two-sample interval with a common variance."""
    x, y = ([score.value for score in row] for row in (a, b))
    free = len(x) + len(y) - 2
    mean, margin = float(np.mean(x) - np.mean(y)), _of_errors(a, b)
    if not free:
        return Difference(mean, margin, "their standard errors")
    pooled = (np.var(x) * len(x) + np.var(y) * len(y)) / free
    quantile = stats.t.ppf((1 + LEVEL) / 2, free)
    of_seeds = quantile * np.sqrt(pooled * (1 / len(x) + 1 / len(y)))
    return Difference(mean, float(np.hypot(of_seeds, np.nan_to_num(margin))), "different seeds")


def pairwise(rows: Mapping[str, Mapping[int, Score]]) -> dict[tuple[str, str], Difference]:
    """The difference of each row, named first, to each other one; rows are scores by seed."""
    found: dict[tuple[str, str], Difference] = {}
    for a in rows:
        for b in rows:
            if (b, a) in found:
                found[a, b] = found[b, a]._replace(mean=-found[b, a].mean)
            elif a != b:
                found[a, b] = difference(rows[a], rows[b])
    return found


class Verdict(NamedTuple):
    """Who is best on a metric.

    Attributes:
        best: The row with the best mean.
        ties: The rows that the data cannot tell from it; none makes `best` a winner.
        differences: Of each other row to the best one, in the metric's unit.
    """

    best: str
    ties: list[str]
    differences: dict[str, Difference]


def verdict(rows: Mapping[str, Mapping[int, Score]], better: str | None) -> Verdict | None:
    """The verdict on rows of scores by seed.

    None where the metric has no direction ("higher" or "lower"), where fewer than two rows have
    it, and where nothing is known of its error.
    """
    if better not in ("higher", "lower") or len(rows) < 2:
        return None
    sign = 1 if better == "higher" else -1
    means = {name: float(np.mean([s.value for s in row.values()])) for name, row in rows.items()}
    best, *others = sorted(rows, key=lambda name: -sign * means[name])
    differences = {name: difference(rows[name], rows[best]) for name in others}
    if all(np.isnan(d.margin) for d in differences.values()):
        return None
    ties = [name for name, d in differences.items() if not (d.significant and sign * d.mean < 0)]
    return Verdict(best, ties, differences)
