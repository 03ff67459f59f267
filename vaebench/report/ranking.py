"""Mean ranks over data sets with the critical difference of Nemenyi's test."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from vaebench.report.plots import Look, blank, svg
from vaebench.report.sheet import Block, Sheet
from vaebench.report.summary import headlines

#: Below so many data sets the test can tell nothing.
LEAST = 6


def critical_difference(variants: int, datasets: int, level: float = 0.05) -> float:
    """The difference of mean ranks from which two of them differ significantly.

    Demšar 2006 (JMLR 7), section 3.2.2: q √(k (k + 1) / 6N), with q the quantile of the
    studentised range for k variants and infinitely many degrees of freedom, over √2.
    """
    quantile = stats.studentized_range.ppf(1 - level, variants, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(variants * (variants + 1) / (6 * datasets)))


def mean_ranks(values: np.ndarray, better: str) -> np.ndarray:
    """Mean ranks (V,) of variants over data sets, values (N, V); 1 is best, ties share."""
    return stats.rankdata(-values if better == "higher" else values, axis=1).mean(0)


def ranking(blocks: Sequence[tuple[Sheet, Block]], look: Look) -> list[dict[str, Any]]:
    """A diagram for each headline metric that two or more variants have on six data sets."""
    found = []
    names = dict.fromkeys(c.name for sheet, _ in blocks for c in headlines(sheet) if c.better)
    for number, name in enumerate(names):
        columns = [c for sheet, _ in blocks for c in sheet.columns if c.name == name]
        results = [_values(block, name) for _, block in _one_each(blocks)]
        results = [each for each in results if each]
        shared = [label for label in look.labels if all(label in each for each in results)]
        if len(results) < LEAST or len(shared) < 2:
            continue
        values = np.array([[each[label] for label in shared] for each in results])
        ranks = mean_ranks(values, columns[0].better or "")
        gap = critical_difference(len(shared), len(results))
        best = shared[int(ranks.argmin())]
        text = (
            f"Mean rank over {len(results)} data sets, lower is better; {best} ranks first. "
            f"Means nearer than {gap:.2f} (bar) do not differ significantly (Nemenyi, 5 %)."
        )
        figure = _figure(dict(zip(shared, ranks.tolist(), strict=True)), gap, look)
        drawing = svg(figure, f"{columns[0].title}. {text}", f"rank{number}")
        found.append({"title": columns[0].title, "text": text, "svg": drawing})
    return found


def _one_each(blocks: Sequence[tuple[Sheet, Block]]) -> list[tuple[Sheet, Block]]:
    """The first block of each data set, so that each counts once."""
    return list({sheet.dataset: (sheet, block) for sheet, block in reversed(blocks)}.values())


def _values(block: Block, name: str) -> dict[str, float]:
    entries = {row.label: row.entries.get(name) for row in block.rows}
    return {k: e.value for k, e in entries.items() if e and e.value is not None}


def _figure(ranks: dict[str, float], gap: float, look: Look) -> Figure:
    figure, axes = blank(5.0, 0.7 + 0.26 * len(ranks))
    order = sorted(ranks, key=lambda label: ranks[label])
    for y, label in enumerate(order):
        colour = look.colour(label)
        axes.plot(ranks[label], y, marker=look.marker(label), color=colour, markersize=6)
        axes.plot([ranks[label], ranks[label] + gap], [y, y], color=colour, alpha=0.35, lw=3)
    axes.set_yticks(range(len(order)), order, parse_math=False)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("mean rank, with the critical difference to its right")
    return figure
