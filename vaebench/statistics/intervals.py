"""How sure a number is, and whether two rows of a table differ: intervals at the 95 % level."""

import math
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


class Sample(NamedTuple):
    """What the cells of a row that differ by their seed scored together.

    Attributes:
        values: A value for each seed, (S,).
        images: Each image's value, averaged over seeds, of the images that all seeds have; None
            where a seed has none.
        square: The mean square of the estimator's own standard errors, None where one is unknown.
    """

    values: np.ndarray
    images: pd.Series | None
    square: float | None


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
        alike: Whether no seed differs from another of its row, and there are too few of them for
            that to tell the rows apart: chance may share so many equal values out like this.
    """

    mean: float
    margin: float
    method: str
    models: bool = False
    alike: bool = False

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero; False where the margin is unknown, or `alike`."""
        return bool(abs(self.mean) > self.margin) and not self.alike


class Error(NamedTuple):
    """A standard error.

    Attributes:
        se: The error, in the metric's unit.
        free: Its degrees of freedom.
        chance: How probable a difference is by chance alone where no seed differs from another of
            its row, as is often so of counts.
    """

    se: float
    free: float
    chance: float = 0.0


class Gap(NamedTuple):
    """A difference with its independent errors, of which an interval of any level follows."""

    mean: float
    errors: tuple[Error, ...]
    method: str
    models: bool

    def at(self, level: float = LEVEL) -> Difference:
        """The difference with its interval: the margins of the errors are added in quadrature.

        Where the degrees of freedom differ this is a little too wide.

        Raises:
            ValueError: The level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"A level lies between 0 and 1, such as .95, not at {level:g}.")
        margins = [special.stdtrit(e.free, (1 + level) / 2) * e.se for e in self.errors]
        known = bool(margins) and np.isfinite(self.mean)
        margin = float(np.hypot.reduce(margins)) if known else np.nan
        alike = any(error.se == 0 and error.chance > 1 - level for error in self.errors)
        return Difference(self.mean, margin, self.method, self.models, alike)


def interval(
    values: Sequence[float] | np.ndarray, within: tuple[float, float] | None = None
) -> Interval:
    """Student's interval of the mean of one value per seed (S,).

    Args:
        values: One value for each seed; those that are NaN do not count. With an infinite one
            the bounds are NaN.
        within: What the mean cannot leave, such as (0, 1) for a share: the interval is cut there.

    >>> low, high, method = interval([1.0, 2.0, 4.0])
    >>> f"{low:.2f} to {high:.2f} ({method})"
    '-1.46 to 6.13 (t)'
    """
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return Interval(np.nan, np.nan, "")
    if not np.isfinite(x).all():
        return Interval(np.nan, np.nan, "t")
    margin = special.stdtrit(len(x) - 1, (1 + LEVEL) / 2) * x.std(ddof=1) / np.sqrt(len(x))
    low, high = float(x.mean() - margin), float(x.mean() + margin)
    if within is not None:
        low, high = max(low, within[0]), min(high, within[1])
    return Interval(low, high, "t")


def paired(a: Mapping[int, Score], b: Mapping[int, Score]) -> list[int]:
    """The seeds by which two rows are compared; none where they share too few of them."""
    seeds = sorted(a.keys() & b.keys())
    return seeds if len(seeds) >= min(2, max(len(a), len(b))) else []


def measured(row: Mapping[int, Score]) -> dict[int, Score]:
    """The scores that there are: all of a row but NaN."""
    return {seed: score for seed, score in row.items() if not np.isnan(score.value)}


@np.errstate(invalid="ignore", over="ignore")
def difference(a: Mapping[int, Score], b: Mapping[int, Score], level: float = LEVEL) -> Difference:
    """The difference a - b of two rows, each a score per seed.

    Seeds that both rows have are compared with each other, and in them image with image, since
    images differ far more than variants do. The two sources of error, the training run (over
    seeds) and the estimate (over images, or the estimators' own standard errors), are added in
    quadrature. With one seed the training run is unknown: the difference is one between the two
    trained models. Scores that are NaN do not count; NaN is the difference of a row without any,
    and of two infinite ones.

    Raises:
        ValueError: The level is not between 0 and 1.

    >>> a, b = {0: Score(1.0), 1: Score(2.0)}, {0: Score(0.0), 1: Score(1.2)}
    >>> f"{difference(a, b).mean:.1f}"
    '0.9'
    """
    a, b = measured(a), measured(b)
    seeds = paired(a, b)
    if not seeds:
        return independent(a, b).at(level)
    x, y = (np.array([row[s].value for s in seeds], float) for row in (a, b))
    mean = _less(x, y)
    error, source = _of_estimate(*(sampled({s: row[s] for s in seeds}) for row in (a, b)))
    if len(seeds) == 1:
        return Gap(mean, error, source, True).at(level)
    spread = _rounded(_deviation(x - y), x, y)
    chance = 2.0 ** (1 - len(seeds))
    of_seeds = Error(spread / np.sqrt(len(seeds)), len(seeds) - 1, chance)
    method = " and ".join(filter(None, (f"{len(seeds)} seeds", source)))
    return Gap(mean, (of_seeds, *error), method, False).at(level)


@np.errstate(invalid="ignore", over="ignore")
def independent(a: Mapping[int, Score] | Sample, b: Mapping[int, Score] | Sample) -> Gap:
    """The difference a - b of rows whose training runs have nothing to do with each other.

    Seeds are two samples, as in Welch's test, since variants differ in how much their runs do;
    test images are the same for both and are paired. Where one row has a single seed the other's
    variance stands for both.
    """
    a, b = sampled(a), sampled(b)
    x, y = a.values, b.values
    if not (len(x) and len(y)):
        return Gap(np.nan, (), "", True)
    error, source = _of_estimate(a, b)
    of_seeds = _of_seeds(x, y)
    counts = dict.fromkeys((len(x), len(y)))
    seeds = f"{' and '.join(map(str, counts))} seeds" if of_seeds else ""
    method = " and ".join(filter(None, (seeds, source)))
    models = min(len(x), len(y)) == 1
    return Gap(_less(x, y), (*of_seeds, *error), method, models)


def _less(x: np.ndarray, y: np.ndarray) -> float:
    """The difference of the means of two rows; 0 where it is one of rounding."""
    return _rounded(float(x.mean() - y.mean()), x, y)


def _rounded(value: float, *parts: np.ndarray) -> float:
    """A value made of others, or 0 where that is as far from it as rounding goes."""
    size = max(np.abs(part).max() for part in parts)
    return 0.0 if abs(value) <= 16 * np.finfo(float).eps * size < np.inf else value


def _deviation(x: np.ndarray) -> float:
    """The standard deviation of two or more; NaN where one is infinite."""
    return _rounded(float(x.std(ddof=1)), x)


def _of_seeds(x: np.ndarray, y: np.ndarray) -> tuple[Error, ...]:
    """The error of the difference of two means from independent runs; none for two single ones.

    References:
        Fisher 1935, The Design of Experiments, sec. 21 (of all ways to share the values out to
        the rows two are as far apart).
    """
    if len(x) + len(y) == 2:
        return ()
    chance = 2 / math.comb(len(x) + len(y), len(x))
    if min(len(x), len(y)) == 1:
        free = len(x) + len(y) - 2
        pooled = _deviation(max(x, y, key=len)) ** 2
        se = math.sqrt(pooled * (1 / len(x) + 1 / len(y)))
        return (Error(se, free, chance),)
    v, w = _deviation(x) ** 2 / len(x), _deviation(y) ** 2 / len(y)
    parts = v**2 / (len(x) - 1) + w**2 / (len(y) - 1)
    welch = (v + w) ** 2 / parts if parts else 1.0
    return (Error(math.sqrt(v + w), welch, chance),)


def sampled(row: Mapping[int, Score] | Sample) -> Sample:
    """The scores of a row together, but for those that are NaN."""
    if isinstance(row, Sample):
        return row
    found = list(measured(row).values())
    errors = [score.se for score in found if score.se is not None]
    known = len(errors) == len(found) > 0
    return Sample(
        np.array([score.value for score in found], float),
        _images(found),
        float(np.mean([se**2 for se in errors])) if known else None,
    )


def _of_estimate(a: Sample, b: Sample) -> tuple[tuple[Error, ...], str]:
    """The error from evaluating on a sample of images, equal in all seeds, and its source."""
    if a.images is not None and b.images is not None:
        each = (a.images - b.images).dropna()
        if len(each) > 1:
            error = Error(float(each.std(ddof=1) / np.sqrt(len(each))), len(each) - 1)
            return (error,), f"{len(each)} images, paired"
    if a.square is None or b.square is None:
        return (), ""
    return (Error(float(np.sqrt(a.square + b.square)), np.inf),), "their standard errors"


def _images(row: list[Score]) -> pd.Series | None:
    """Each image's value, averaged over seeds, of the images that all seeds have."""
    series = [score.images for score in row if score.images is not None]
    if len(series) < len(row) or not row:
        return None
    if all(each.index.equals(series[0].index) for each in series):
        return pd.Series(np.mean([each.to_numpy() for each in series], axis=0), series[0].index)
    return pd.concat(series, axis=1, join="inner").mean(axis=1, skipna=False)
