"""The plot of one metric against another."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaebench.report.columns import Column
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import INK, axis_title, blank, brief, tagged
from vaebench.report.rows import Entry, Row


def scatter(
    x: Column, y: Column, rows: Sequence[Row], look: Look, *, guides: bool = False
) -> Figure | None:
    """One metric against another, with the table's intervals; better is up and to the right.

    With `guides` x is a rate and y a distortion: lines of equal ELBO are drawn.
    """
    points = [(r, r.entries[x.name], r.entries[y.name]) for r in rows if r.entries]
    points = [(r, a, b) for r, a, b in points if a.value is not None and b.value is not None]
    points.sort(key=lambda point: point[0].label in look.grey)
    if len(points) < 2:
        return None
    figure, axes = blank(4.4, 3.4)
    for row, a, b in points:
        grey = row.label in look.grey
        bar = axes.errorbar(
            a.value or 0.0, b.value or 0.0,
            xerr=None if grey else _bar(a), yerr=None if grey else _bar(b),
            color=look.colour(row.label), marker=look.marker(row.label),
            markersize=4.5 if grey else 7, elinewidth=1.2, linestyle="none",
        )  # fmt: skip
        tagged(bar.get_children(), look.tag(row.label))
    axes.margins(0.18)
    _from_zero(axes, [a.value or 0.0 for _, a, _ in points], [b.value or 0.0 for _, _, b in points])
    if guides:
        _guides(axes)
    for column, invert in ((x, axes.invert_xaxis), (y, axes.invert_yaxis)):
        if column.better == "lower" and not guides:
            invert()
    axes.set_xlabel(axis_title(x))
    axes.set_ylabel(axis_title(y))
    _name(axes, [(row.label, a, b) for row, a, b in points], look)
    return figure


def _from_zero(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Show nothing below zero of what is never below it, as times are."""
    if min(xs) >= 0:
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    if min(ys) >= 0:
        axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))


def _bar(entry: Entry) -> list[list[float]] | None:
    return None if entry.margins is None else [[margin] for margin in entry.margins]


def _guides(axes: Axes) -> None:
    """Lines of equal ELBO = -(rate + distortion) behind the points."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for total in np.linspace(left + bottom, right + top, 9)[1:-1]:
        axes.plot(
            [left, right], [total - left, total - right], color=INK, alpha=0.15, linewidth=0.8
        )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _name(axes: Axes, points: Sequence[tuple[str, Entry, Entry]], look: Look) -> None:
    """Write each label beside its point, where it covers no label that is already there.

    One in grey is left out where there is no such place.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    box = np.asarray(axes.bbox.extents) * 72 / figure.dpi
    spots = [(a.value or 0.0, b.value or 0.0) for _, a, b in points]
    taken = [(x, y) for x, y in axes.transData.transform(spots) * 72 / figure.dpi]
    for (x, y), (label, a, b) in zip(taken[:], points, strict=True):
        text = brief(label)
        places = [(8, 4), (8, -11), (-8, 4), (-8, -11), (8, 15), (8, -22), (-8, 15), (-8, -22)]
        places = places[:4] if label in look.grey else places
        free = [place for place in places if _free(x, y, place, len(text), taken, box)]
        if not free and label in look.grey:
            continue
        dx, dy = free[0] if free else places[0]
        taken += [(x + dx + math.copysign(5 * i, dx), y + dy) for i in range(len(text))]
        axes.annotate(
            text, (a.value or 0.0, b.value or 0.0), (dx, dy), textcoords="offset points",
            ha="left" if dx > 0 else "right", fontsize=7 if label in look.grey else 8,
            color=look.colour(label), parse_math=False, gid=look.tag(label),
        )  # fmt: skip


def _free(
    x: float,
    y: float,
    place: tuple[int, int],
    letters: int,
    taken: Sequence[tuple[float, float]],
    box: np.ndarray,
) -> bool:
    """Whether a text is inside the box (left, bottom, right, top) and covers nothing, in points."""
    dx, dy = place
    spots = [(x + dx + math.copysign(5 * i, dx), y + dy) for i in range(letters)]
    left, bottom, right, top = box
    if not all(left < s < right and bottom < t < top for s, t in spots):
        return False
    return all(abs(u - s) > 5 or abs(v - t) > 10 for s, t in spots for u, v in taken)
