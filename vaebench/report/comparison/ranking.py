"""Mean ranks over data sets with the critical difference of Nemenyi's test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vaebench.report.columns import headlines
from vaebench.report.comparison.overall import one_each
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank, svg
from vaebench.report.sheet import Block, Sheet
from vaebench.statistics.ranks import LEAST, critical_difference, mean_ranks


def ranking(blocks: Sequence[tuple[Sheet, Block]], look: Look) -> list[dict[str, Any]]:
    """A diagram for each headline metric that two or more variants have on six data sets."""
    found = []
    names = dict.fromkeys(
        c.name for sheet, _ in blocks for c in headlines(sheet.columns) if c.better
    )
    for number, name in enumerate(names):
        columns = [c for sheet, _ in blocks for c in sheet.columns if c.name == name]
        results = [_values(block, name) for _, block in one_each(blocks)]
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
            f"Means nearer than {gap:.2f} (bar) do not differ significantly (Nemenyi, 5 % for all "
            "pairs together)."
        )
        figure = _figure(dict(zip(shared, ranks.tolist(), strict=True)), gap, look)
        drawing = svg(figure, f"{columns[0].title}. {text}", f"rank{number}")
        found.append({"title": columns[0].title, "text": text, "svg": drawing})
    return found


def _values(block: Block, name: str) -> dict[str, float]:
    entries = {row.label: row.entries.get(name) for row in block.rows}
    return {k: e.value for k, e in entries.items() if e and e.value is not None}


def _figure(ranks: dict[str, float], gap: float, look: Look) -> Figure:
    figure, axes = blank(5.0, 0.7 + 0.26 * len(ranks))
    order = sorted(ranks, key=lambda label: ranks[label])
    for y, label in enumerate(order):
        colour = look.colour(label)
        tag = look.tag(label)
        axes.plot(ranks[label], y, marker=look.marker(label), color=colour, markersize=6, gid=tag)
        bar = [ranks[label], ranks[label] + gap]
        axes.plot(bar, [y, y], color=colour, alpha=0.35, linewidth=3, gid=tag)
    axes.set_yticks(range(len(order)), order, parse_math=False)
    for tick, label in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_gid(look.tag(label))
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("mean rank, with the critical difference to its right")
    return figure
