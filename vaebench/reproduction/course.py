"""How far a paper's numbers were during training, against the part of its passes that was made."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from vaebench.report.plots.look import Look
from vaebench.report.plots.style import styled
from vaebench.reproduction.curves import finished
from vaebench.reproduction.recipe import Measure, Recipe
from vaebench.reproduction.table import Row, cells_of
from vaebench.runs.numbers import Numbers

#: Nats about zero within which the axis is linear.
_LINEAR = 1.0
_TICKS = (-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100)


def course(history: Numbers, column: str, warmup: float, best: bool) -> np.ndarray:
    """What a bound on validation images lacks after each epoch to where its weights were taken.

    Args:
        history: Of one cell.
        column: ``elbo``, or another likelihood: of these the variant's own objective is followed.
        warmup: Epochs in which the KL had less than its weight; they are NaN.
        best: Whether the weights of the best epoch were measured, or those of the last.

    Returns:
        Nats, (E,), empty where the history has no such bound.
    """
    name = "valid_elbo" if column == "elbo" else "valid_objective"
    if name not in history or not len(history):
        return np.empty(0)
    values = np.where(history.index > warmup, history[name], np.nan)
    if np.isnan(values).all():
        return np.empty(0)
    found: np.ndarray = (np.nanmax(values) if best else values[-1]) - values
    return found


def gaps(
    recipe: Recipe, budget: str, row: Row, cells: pd.DataFrame, histories: Mapping[str, Numbers]
) -> tuple[np.ndarray, np.ndarray]:
    """How far below the paper a row was during training, the mean over seeds.

    It is the `course` of validation that ends at the distance which was measured: the way there
    is read off validation images, the end off test images.

    Returns:
        The share of the paper's passes and the distance in nats, each (E,); empty where the row
        is no likelihood, has no published number or its cells no history.
    """
    measure, share = recipe.measures[row.key.measure], recipe.budgets[budget].share
    point = next(p for p in recipe.points if (p.line, p.x) == row.key[:2])
    if share is None or row.published is None or not len(row.seeds) or not _follows(measure):
        return np.empty(0), np.empty(0)
    mine = cells_of(recipe, budget, point, cells)
    found = [
        course(histories[cell], measure.column, float(warmup or 0), evaluate == "best")
        for cell, warmup, evaluate in zip(
            mine["cell"], mine["kl_warmup"], mine["evaluate"], strict=True
        )
    ]
    lengths = {len(each) for each in found}
    if len(lengths) != 1 or lengths == {0}:
        return np.empty(0), np.empty(0)
    epochs = np.arange(1, lengths.pop() + 1)
    end = measure.sign * (row.published.value - row.measured)
    return share * epochs / len(epochs), end + np.mean(found, axis=0)


def _follows(measure: Measure) -> bool:
    """Whether a measure is a likelihood, or a bound on one, and so rises with the objective."""
    return measure.minus is None and (
        measure.column == "elbo" or measure.column.startswith(("iwae_", "log_likelihood_"))
    )


def png(
    recipe: Recipe,
    budget: str,
    rows: Sequence[Row],
    cells: pd.DataFrame,
    histories: Mapping[str, Numbers],
) -> bytes | None:
    """The picture, a panel for each measure; None where nothing is known of any row."""
    found = {row.key: gaps(recipe, budget, row, cells, histories) for row in rows}
    drawn = [row for row in rows if len(found[row.key][0])]
    measures = list(dict.fromkeys(row.key.measure for row in drawn))
    if not measures:
        return None
    look = Look(_name(recipe, row) for row in drawn)
    with styled():
        figure = Figure((4.4 * len(measures), 4.2), layout="constrained")
        panels = figure.subplots(1, len(measures), squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            for row in (row for row in drawn if row.key.measure == measure):
                shares, nats = found[row.key]
                name = _name(recipe, row)
                axes.plot(100 * shares, nats, label=name, **look.line(name, len(shares)))
            near = recipe.measures[measure].near
            if near:
                axes.axhspan(-near, near, color="#16a06a", alpha=0.08, linewidth=0)
            axes.set_xscale("log")
            axes.set_yscale("symlog", linthresh=_LINEAR)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_locator(FixedLocator(_TICKS))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:g}")
            axes.axhline(0, color="#8a8d93", linewidth=0.8)
            axes.set_xlabel("% of the paper's passes")
            axes.set_title(f"nats short of the paper: {measure}", fontsize=9)
        return finished(figure)


def _name(recipe: Recipe, row: Row) -> str:
    return f"{row.key.line}, {recipe.x} = {row.key.x}" if recipe.x else row.key.line
