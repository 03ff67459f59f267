"""How sure a number is, and whether two rows of a table differ: intervals at the 95 % level."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

LEVEL = 0.95
#: What shares and probabilities lie within.
UNIT = (0.0, 1.0)


class Score(NamedTuple):
    """What one cell scored on one metric.

    Attributes:
        value: The metric.
        se: The estimator's own standard error, None where it has none.
        images: The values whose mean the metric is, indexed by image; None where it is not a mean.

    >>> Score(-24.1, 0.2).value
    -24.1
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
    """An estimated difference with the half-width of its interval.

    Attributes:
        mean: The difference, in the metric's unit.
        margin: The half-width, NaN where nothing is known of the error.
        method: What the interval is over, such as "3 seeds and 400 images, paired".
        models: Whether it is one of trained models, not of variants: with one seed of a row
            nothing is known of how much another training run would change.
    """

    mean: float
    margin: float
    method: str
    models: bool = False

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero; False where the margin is unknown."""
        return bool(abs(self.mean) > self.margin)


class Error(NamedTuple):
    """A standard error and its degrees of freedom."""

    se: float
    free: float


class Gap(NamedTuple):
    """A difference with its independent errors, of which an interval of any level follows."""

    mean: float
    errors: tuple[Error, ...]
    method: str
    models: bool

    def at(self, level: float = LEVEL) -> Difference:
        """The difference with its interval: the margins of the errors are added in quadrature.

        Where the degrees of freedom differ this is a little too wide.
        """
        margins = [special.stdtrit(e.free, (1 + level) / 2) * e.se for e in self.errors]
        margin = float(np.hypot.reduce(margins)) if margins else np.nan
        return Difference(self.mean, margin, self.method, self.models)


def interval(
    values: Sequence[float] | np.ndarray, within: tuple[float, float] | None = None
) -> Interval:
    """Student's interval of the mean of one value per seed (S,).

    Args:
        values: One value for each seed.
        within: What the mean cannot leave, such as (0, 1) for a share: the interval is cut there.

    >>> low, high, method = interval([1.0, 2.0, 4.0])
    >>> f"{low:.2f} to {high:.2f} ({method})"
    '-1.46 to 6.13 (t)'
    """
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(np.nan, np.nan, "")
    margin = special.stdtrit(len(x) - 1, (1 + LEVEL) / 2) * x.std(ddof=1) / np.sqrt(len(x))
    low, high = float(x.mean() - margin), float(x.mean() + margin)
    if within is not None:
        low, high = max(low, within[0]), min(high, within[1])
    return Interval(low, high, "t")


def paired(a: Mapping[int, Score], b: Mapping[int, Score]) -> list[int]:
    """The seeds by which two rows are compared; none where they share too few of them."""
    seeds = sorted(a.keys() & b.keys())
    return seeds if len(seeds) >= min(2, max(len(a), len(b))) else []


def difference(a: Mapping[int, Score], b: Mapping[int, Score], level: float = LEVEL) -> Difference:
    """The difference a - b of two rows, each a score per seed.

    Seeds that both rows have are compared with each other, and in them image with image, since
    images differ far more than variants do. The two sources of error, the training run (over
    seeds) and the estimate (over images, or the estimators' own standard errors), are added in
    quadrature. With one seed the training run is unknown: the difference is one between the two
    trained models.

    >>> a, b = {0: Score(1.0), 1: Score(2.0)}, {0: Score(0.0), 1: Score(1.2)}
    >>> f"{difference(a, b).mean:.1f}"
    '0.9'
    """
    seeds = paired(a, b)
    if not seeds:
        return independent(a, b).at(level)
    values = np.array([a[s].value - b[s].value for s in seeds])
    error, source = _of_estimate([a[s] for s in seeds], [b[s] for s in seeds])
    if len(seeds) == 1:
        return Gap(float(values[0]), error, source, True).at(level)
    of_seeds = Error(values.std(ddof=1) / np.sqrt(len(seeds)), len(seeds) - 1)
    method = " and ".join(filter(None, (f"{len(seeds)} seeds", source)))
    return Gap(float(values.mean()), (of_seeds, *error), method, False).at(level)


def independent(a: Mapping[int, Score], b: Mapping[int, Score]) -> Gap:
    """The difference a - b of rows whose training runs have nothing to do with each other.

    Seeds are two samples, as in Welch's test, since variants differ in how much their runs do;
    test images are the same for both and are paired. Where one row has a single seed the other's
    variance stands for both.
    """
    x, y = (np.array([score.value for score in row.values()]) for row in (a, b))
    error, source = _of_estimate(list(a.values()), list(b.values()))
    of_seeds = _of_seeds(x, y)
    counts = dict.fromkeys((len(x), len(y)))
    seeds = f"{' and '.join(map(str, counts))} seeds" if of_seeds else ""
    method = " and ".join(filter(None, (seeds, source)))
    models = min(len(x), len(y)) == 1
    return Gap(float(x.mean() - y.mean()), (*of_seeds, *error), method, models)


def _of_seeds(x: np.ndarray, y: np.ndarray) -> tuple[Error, ...]:
    """The error of the difference of two means from independent runs; none for two single ones."""
    if len(x) + len(y) == 2:
        return ()
    if min(len(x), len(y)) == 1:
        free = len(x) + len(y) - 2
        pooled = (x.var() * len(x) + y.var() * len(y)) / free
        return (Error(float(np.sqrt(pooled * (1 / len(x) + 1 / len(y)))), free),)
    v, w = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    parts = v**2 / (len(x) - 1) + w**2 / (len(y) - 1)
    welch = (v + w) ** 2 / parts if parts else 1.0
    return (Error(float(np.sqrt(v + w)), float(welch)),)


def _of_estimate(a: list[Score], b: list[Score]) -> tuple[tuple[Error, ...], str]:
    """The error from evaluating on a sample of images, equal in all seeds, and its source."""
    x, y = _images(a), _images(b)
    if x is not None and y is not None:
        each = (x - y).dropna()
        if len(each) > 1:
            error = Error(float(each.std(ddof=1) / np.sqrt(len(each))), len(each) - 1)
            return (error,), f"{len(each)} images, paired"
    if any(score.se is None for score in (*a, *b)):
        return (), ""
    squares = [np.mean([score.se**2 for score in row if score.se is not None]) for row in (a, b)]
    return (Error(float(np.sqrt(np.sum(squares))), np.inf),), "their standard errors"


def _images(row: list[Score]) -> pd.Series | None:
    """Each image's value, averaged over seeds, of the images that all seeds have."""
    series = [score.images for score in row if score.images is not None]
    if len(series) < len(row):
        return None
    if all(each.index.equals(series[0].index) for each in series):
        return pd.Series(np.mean([each.to_numpy() for each in series], axis=0), series[0].index)
    return pd.concat(series, axis=1, join="inner").mean(axis=1, skipna=False)
