"""Values side by side, one to a line: the plots of the cards."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaebench.report.columns import Column
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import INK, axis_title, blank, brief, tagged, with_unit
from vaebench.report.rows import Row
from vaebench.statistics.comparisons import Verdict

#: A row that is so many times farther away than the one before it stands at the edge.
_FAR = 2.5
#: The rows nearest to the first one that there is room for.
ROWS = 16


def differences(column: Column, verdict: Verdict, look: Look) -> Figure:
    """The difference of each variant to the best one, with the interval that decides."""
    found = {name: (d.mean, d.margin, d.margin) for name, d in verdict.differences.items()}
    figure, axes = ladder({verdict.best: (0.0, 0.0, 0.0)} | found, look)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.5)
    text = with_unit(f"difference to {brief(verdict.best)}", column.unit)
    axes.set_xlabel(text, parse_math=False)
    return figure


def values(column: Column, rows: Sequence[Row], look: Look) -> Figure:
    """The value of each variant, with the table's interval where there is one."""
    entries = {row.label: row.entries[column.name] for row in rows if row.entries}
    none = (0.0, 0.0)
    known = {k: (e.value, *(e.margins or none)) for k, e in entries.items() if e.value is not None}
    best_first = sorted(known.items(), key=lambda p: p[1], reverse=column.better == "higher")
    figure, axes = ladder(dict(best_first), look)
    axes.set_xlabel(axis_title(column), parse_math=False)
    return figure


def ladder(points: Mapping[str, tuple[float, float, float]], look: Look) -> tuple[Figure, Axes]:
    """Means with margins below and above, sorted by their distance from the first.

    The axis is that of the rows near the first one; others stand at its edge with their values, and
    of many only the nearest are shown.
    """
    first = next(iter(points.values()))[0]
    names = sorted(points, key=lambda name: abs(points[name][0] - first))[:ROWS]
    figure, axes = blank(5.0, 0.75 + 0.24 * len(names))
    near = names[: _near([_reach(points[name], first) for name in names])]
    for y, name in enumerate(names):
        mean, *margins = points[name]
        if name in near:
            known = [[0.0 if math.isnan(margin) else margin] for margin in margins]
            bar = axes.errorbar(
                mean, y, xerr=known, color=look.colour(name),
                marker=look.marker(name), markersize=5.5, elinewidth=2.2,
            )  # fmt: skip
            tagged(bar.get_children(), look.tag(name))
    axes.set_xlim(axes.get_xlim())
    for y, name in enumerate(names):
        if name not in near:
            _at_the_edge(axes, y, points[name][0], first, look.colour(name), look.tag(name))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [brief(name) for name in names], parse_math=False)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_gid(look.tag(name))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _reach(point: tuple[float, float, float], first: float) -> float:
    mean, *margins = point
    return abs(mean - first) + max(0.0 if math.isnan(margin) else margin for margin in margins)


def _near(reaches: Sequence[float]) -> int:
    """How many rows, sorted, an axis is made for: half of them, and others without a leap."""
    count = max(3, -(-len(reaches) // 2))
    while count < len(reaches) and reaches[count] <= _FAR * max(reaches[:count]):
        count += 1
    return min(count, len(reaches))


def _at_the_edge(axes: Axes, y: int, value: float, first: float, colour: str, tag: str) -> None:
    """An arrow towards a value outside of the axis, with the value."""
    left, right = axes.get_xlim()
    low = value < first
    end, marker = (left, "<") if low else (right, ">")
    axes.plot(end, y, marker=marker, color=colour, clip_on=False, gid=tag)
    axes.annotate(
        f"{value:.4g}", (end, y), (9 if low else -9, 0), gid=tag,
        textcoords="offset points", ha="left" if low else "right", va="center",
        fontsize=8, color=colour,
    )  # fmt: skip
