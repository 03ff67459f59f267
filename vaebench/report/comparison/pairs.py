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
            "Row less column with its 95 % interval; * where zero is outside, green where the row "
            f"is better. {len(self.cells) // 2} pairs, not corrected for their number: of pairs "
            "without any difference one in twenty gets a star by chance."
        )


def matrix(column: Column, pairs: Mapping[tuple[str, str], Difference]) -> Matrix:
    """The differences of `vaebench.compare.pairwise` in words."""
    sign = 1 if column.better == "higher" else -1
    cells = {}
    for pair, gap in pairs.items():
        decimals = digits(column, gap)
        margin = "" if math.isnan(gap.margin) else f" ± {gap.margin:.{decimals}f}"
        star = " *" if gap.significant else ""
        kind = ("better" if sign * gap.mean > 0 else "worse") if star and column.better else ""
        cells[pair] = (f"{gap.mean:+.{decimals}f}{margin}{star}", kind)
    return Matrix(column, list(dict.fromkeys(a for a, _ in pairs)), cells)
