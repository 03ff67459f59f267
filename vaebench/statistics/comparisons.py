"""The rows of a table against their best, and all pairs: at most one table in twenty is wrong.

The best row is chosen after looking, so that of k equal rows it is held against k (k - 1) / 2
pairs, not against k - 1. Variants differ in how much their runs do, and three seeds say little
of that: variances are those of the two rows alone (Welch), and levels are shared by Bonferroni's
inequality, which holds whatever the rows have in common.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

from vaebench.statistics.intervals import (
    LEVEL,
    Difference,
    Gap,
    Sample,
    Score,
    independent,
    sampled,
)

#: A row of a table: what a variant scored, by seed or together.
Row = Mapping[int, Score] | Sample


class Verdict(NamedTuple):
    """Who is best on a metric.

    Attributes:
        best: The row with the best mean.
        ties: The rows that the data cannot tell from it; none makes `best` a winner. With one
            seed these are all others, since nothing is known of the variants.
        differences: Of each other row to the best one, in the metric's unit. Their intervals are
            those that decide, widened for the number of rows.
        models: With one seed the rows whose trained model the test images tell from that of
            `best`: a statement about these models, not about the variants.
        seeds: The largest number of seeds of a row.
    """

    best: str
    ties: list[str]
    differences: dict[str, Difference]
    models: list[str]
    seeds: int

    @property
    def leading(self) -> list[str]:
        """The best row and those that cannot be told from it; with one seed, as trained models."""
        return [self.best, *(name for name in self.ties if name not in self.models)]

    @property
    def unsure(self) -> list[str]:
        """Those of them that are further from the best than a row that is told from it."""
        size = {name: abs(gap.mean) for name, gap in self.differences.items()}
        told = [gap for name, gap in size.items() if name not in self.leading]
        return [n for n in self.leading[1:] if told and size[n] > min(told)]


def shared(comparisons: int) -> float:
    """The level of each of so many intervals that together have `LEVEL` (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(1, comparisons)


def pairwise(rows: Mapping[str, Row]) -> dict[tuple[str, str], Difference]:
    """The difference of each row, named first, to each other one, as simultaneous intervals."""
    found: dict[tuple[str, str], Difference] = {}
    rows = {name: sampled(row) for name, row in rows.items()}
    level = shared(len(rows) * (len(rows) - 1) // 2)
    for a, b in combinations(rows, 2):
        gap = independent(rows[a], rows[b]).at(level)
        found[a, b], found[b, a] = gap, gap._replace(mean=-gap.mean)
    return {(a, b): found[a, b] for a in rows for b in rows if a != b}


def verdict(rows: Mapping[str, Row], better: str | None) -> Verdict | None:
    """The verdict on rows of scores by seed.

    In at most 5 % of tables is a row said to be worse than `best` that is not. Rows are taken in
    turn, the most evident first: while r rows are left the next one has to differ at the level
    5 % / (r (r - 1) / 2), which is Holm's method over the rows, with as many comparisons as
    there are pairs to choose a best one from.

    None where the metric has no direction ("higher" or "lower"), where fewer than two rows have
    it (scores that are NaN do not count), and where nothing is known of its error.

    References:
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal
        of Statistics 6; Welch 1947, Biometrika 34.

    >>> rows = {"a": {0: Score(1.0), 1: Score(1.1)}, "b": {0: Score(9.0), 1: Score(9.1)}}
    >>> verdict(rows, "higher").best, verdict(rows, "higher").ties
    ('b', [])
    """
    samples = {name: known for name, row in rows.items() if len((known := sampled(row)).values)}
    if better not in ("higher", "lower") or len(samples) < 2:
        return None
    sign = 1 if better == "higher" else -1
    means = {name: float(row.values.mean()) for name, row in samples.items()}
    best, *others = sorted(samples, key=lambda name: -sign * means[name])
    gaps = {name: independent(samples[name], samples[best]) for name in others}
    if not any(gap.errors for gap in gaps.values()):
        return None
    seeds = max(len(row.values) for row in samples.values())
    differences = _step_down(gaps, [n for n in others if seeds == 1 or not gaps[n].models])
    apart = [name for name in others if differences[name].significant]
    told = [name for name in apart if not differences[name].models]
    return Verdict(
        best,
        ties=[name for name in others if name not in told],
        differences=differences,
        models=apart if seeds == 1 else [],
        seeds=seeds,
    )


def _step_down(gaps: Mapping[str, Gap], decidable: list[str]) -> dict[str, Difference]:
    """Each difference at the level of the step that decided on it, or of the last step."""
    left = dict(gaps)
    found: dict[str, Difference] = {}
    while left:
        level = shared((len(left) + 1) * len(left) // 2)
        now = {name: gap.at(level) for name, gap in left.items()}
        name = max(now, key=lambda each: (each in decidable, _evidence(now[each])))
        if name not in decidable or not now[name].significant:
            return found | now
        found[name] = now[name]
        del left[name]
    return found


def _evidence(gap: Difference) -> float:
    """The difference in units of its margin."""
    if gap.mean == 0 or gap.alike or np.isnan(gap.margin):
        return 0.0
    return abs(gap.mean) / gap.margin if gap.margin else np.inf
