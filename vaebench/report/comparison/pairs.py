"""The differences between all pairs of variants in one metric."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from vaebench.report.columns import Column
from vaebench.report.summary import digits
from vaebench.statistics.intervals import Difference


class Matrix(NamedTuple):
    """What a table of differences shows, by pair of labels: text, and better, worse or nothing."""

    column: Column
    labels: list[str]
    cells: dict[tuple[str, str], tuple[str, str]]

    @property
    def title(self) -> str:
        """The metric, its direction and its unit."""
        unit = f", {self.column.suffix}" if self.column.suffix else ""
        return f"{self.column.title} {self.column.arrow}".strip() + unit

    @property
    def caption(self) -> str:
        """How to read it."""
        return (
            f"Row less column with an interval widened for {len(self.cells) // 2} pairs; * where "
            "zero is outside, green where the row is better: if no two rows differ, one table in "
            "twenty has such a star by chance. ◇ stands for * where a row has one seed: it is "
            "about the trained models, not about the variants."
        )


def matrix(column: Column, pairs: Mapping[tuple[str, str], Difference]) -> Matrix:
    """The differences of `vaebench.statistics.comparisons.pairwise` in words."""
    sign = 1 if column.better == "higher" else -1
    cells = {}
    for pair, gap in pairs.items():
        decimals = digits(column, gap)
        margin = "" if math.isnan(gap.margin) else f" ± {gap.margin:.{decimals}f}"
        star = (" ◇" if gap.models else " *") if gap.significant else ""
        kind = ""
        if gap.significant and column.better and not gap.models:
            kind = "better" if sign * gap.mean > 0 else "worse"
        cells[pair] = (f"{gap.mean:+.{decimals}f}{margin}{star}", kind)
    return Matrix(column, list(dict.fromkeys(a for a, _ in pairs)), cells)
