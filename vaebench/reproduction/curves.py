"""A paper's curves and ours in one picture, a panel for each measure."""

import io
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaebench.report.plots.look import Look
from vaebench.report.plots.style import styled
from vaebench.reproduction.recipe import Recipe
from vaebench.reproduction.table import Row

_WIDE = 3
#: How far apart lines are drawn at one place, as a part of the way to the next.
_ASIDE = 0.04


def png(recipe: Recipe, rows: list[Row]) -> bytes:
    """The picture: hollow and dashed what is published, filled with 95 % intervals what we got."""
    measures = list(dict.fromkeys(row.key.measure for row in rows))
    look = Look([row.key.line for row in rows])
    known = {row.key.line for row in rows if row.published}
    across = min(_WIDE, len(measures))
    down = math.ceil(len(measures) / across)
    with styled():
        figure = Figure((4.2 * across, 3.2 * down + 0.8), layout="constrained")
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, measure in zip(panels, measures, strict=False):
            _panel(axes, recipe, [row for row in rows if row.key.measure == measure], look, known)
        for axes in panels[len(measures) :]:
            axes.remove()
        return finished(figure)


def finished(figure: Figure) -> bytes:
    """A PNG of a figure; below is the legend of its first panel, at most as wide as the figure."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    for columns in range(min(4, len(labels)), 0, -1):
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return file.getvalue()


def _panel(axes: Axes, recipe: Recipe, rows: list[Row], look: Look, known: set[str]) -> None:
    places = list(dict.fromkeys(row.key.x for row in rows))
    if all(isinstance(place, int | float) for place in places):
        places.sort(key=float)
    lines = list(dict.fromkeys(row.key.line for row in rows))
    for rank, line in enumerate(lines):
        mine = [row for row in rows if row.key.line == line]
        mine.sort(key=lambda row: places.index(row.key.x))
        aside = _ASIDE * (rank - (len(lines) - 1) / 2)
        at = [places.index(row.key.x) + aside for row in mine]
        paper = [row.published.value if row.published else np.nan for row in mine]
        means = np.array([row.measured for row in mine])
        bounds = np.array([row.bounds for row in mine])
        colour, marker = look.colour(line), look.marker(line)
        label = f"{line}, paper" if line in known else "_"
        axes.plot(at, paper, "--", color=colour, marker=marker, mfc="none", label=label)
        axes.plot(at, means, color=colour, marker=marker, label=f"{line}, measured")
        axes.vlines(at, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.5)
    axes.set_xticks(range(len(places)), [str(place) for place in places])
    axes.margins(x=0.1)
    if len(places) == 1:
        axes.set_xlim(-0.5, 0.5)
    axes.set_xlabel(recipe.x)
    unit = rows[0].unit
    axes.set_title(rows[0].key.measure + (f" ({unit})" if unit else ""), fontsize=9)
