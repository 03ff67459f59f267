"""Plots of a run as SVG that takes its text colour and font from the page around it."""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaebench.compare import Verdict
from vaebench.report.columns import Column
from vaebench.report.rows import Entry, Row

#: Legible on white and on near-black.
COLOURS = (
    *("#3b82f6", "#e0821a", "#16a06a", "#d9489a", "#8b5cf6"),
    *("#0e9fb5", "#a3842b", "#e5484d", "#6b8e23", "#8d6e63"),
)
MARKERS = "osD^vPX<>p"
_INK = "#010203"
_STYLE: Any = {
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "vaebench",
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "axes.grid": True,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
}
_POINTS = 200
_PANELS = 16
_OWN = "What each variant maximises, which is not the same for all: no one wins here."
_WORDS = {
    "valid": "Validation",
    "train": "Training",
    "elbo": "ELBO",
    "kl": "KL",
    "log_px": "log p(x|z)",
}


class Look:
    """A colour and a marker for each variant, the same in all plots of a page."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(dict.fromkeys(labels))

    def colour(self, label: str) -> str:
        """The variant's colour."""
        return COLOURS[self.labels.index(label) % len(COLOURS)]

    def marker(self, label: str) -> str:
        """The variant's marker; with the colour it is unique among a hundred."""
        index = self.labels.index(label)
        return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def svg(figure: Figure, description: str, prefix: str) -> Markup:
    """A figure as inline SVG; `prefix` keeps its ids apart from those of other figures."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r'^<svg[^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", text, flags=re.DOTALL)
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return Markup(label + Markup(text.removeprefix("<svg ")))


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches with its only axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def styled() -> AbstractContextManager[None]:
    """The context in which figures are made and saved."""
    return matplotlib.rc_context(_STYLE)


def differences(column: Column, verdict: Verdict, look: Look) -> Figure:
    """The difference of each variant to the best one, with its 95 % interval."""
    found = {name: (d.mean, d.margin, d.margin) for name, d in verdict.differences.items()}
    figure, axes = ladder({verdict.best: (0.0, 0.0, 0.0)} | found, look)
    axes.axvline(0, color=_INK, linewidth=1, zorder=0.5)
    unit = f", {column.suffix}" if column.suffix else ""
    axes.set_xlabel(f"difference to {_brief(verdict.best)}{unit}", parse_math=False)
    return figure


def values(column: Column, rows: Sequence[Row], look: Look) -> Figure:
    """The value of each variant, with the table's interval where there is one."""
    entries = {row.label: row.entries[column.name] for row in rows if row.entries}
    known = {k: (e.value, e.margin or 0.0) for k, e in entries.items() if e.value is not None}
    best_first = sorted(known.items(), key=lambda p: p[1], reverse=column.better == "higher")
    figure, axes = ladder({k: (value, m, m) for k, (value, m) in best_first}, look)
    axes.set_xlabel(_label(column), parse_math=False)
    return figure


def ladder(points: Mapping[str, tuple[float, float, float]], look: Look) -> tuple[Figure, Axes]:
    """Means with margins below and above, sorted by their distance from the first."""
    first = next(iter(points.values()))[0]
    names = sorted(points, key=lambda name: abs(points[name][0] - first))
    figure, axes = blank(5.0, 0.5 + 0.23 * len(names))
    for y, name in enumerate(names):
        mean, *margins = points[name]
        known = [[0.0 if math.isnan(margin) else margin] for margin in margins]
        axes.errorbar(
            mean, y, xerr=known, color=look.colour(name),
            marker=look.marker(name), markersize=5.5, elinewidth=2.2,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [_brief(name) for name in names], parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def curves(
    histories: Mapping[str, Sequence[pd.DataFrame]], look: Look
) -> Iterator[tuple[str, str, Figure]]:
    """Each term of validation and training over epochs: heading, explanation, figure."""
    for term in _terms(histories):
        words = [_WORDS.get(word, word.replace("_", " ")) for word in term.split("_", 1)]
        text = _OWN if term.endswith("_objective") else ""
        yield ": ".join(words), text, curve(term, histories, look)


def curve(term: str, histories: Mapping[str, Sequence[pd.DataFrame]], look: Look) -> Figure:
    """One term over epochs: mean and range over seeds of each variant."""
    figure, axes = blank(3.6, 2.3)
    late: list[np.ndarray] = []
    for label, frames in histories.items():
        have = [f[term].dropna() for f in frames if term in f and f[term].notna().any()]
        if have:
            late.append(_curve(axes, pd.concat(have, axis=1), look.colour(label)))
    _window(axes, late)
    axes.set_xlabel("epoch")
    return figure


def _terms(histories: Mapping[str, Sequence[pd.DataFrame]]) -> list[str]:
    """What is known of any variant, validation before training."""
    names = dict.fromkeys(
        column
        for frames in histories.values()
        for frame in frames
        for column in frame.columns[frame.notna().any()]
        if column.startswith(("train_", "valid_"))
    )
    return sorted(names, key=lambda name: not name.startswith("valid_"))[:_PANELS]


def _curve(axes: Axes, values: pd.DataFrame, colour: str) -> np.ndarray:
    """Draw seeds (epochs, S) as a line with a band; return what has to stay in view."""
    values = values.iloc[:: max(1, len(values) // _POINTS)]
    mean = values.mean(axis=1)
    axes.plot(values.index, mean, color=colour)
    if values.shape[1] > 1:
        axes.fill_between(
            values.index,
            values.min(axis=1),
            values.max(axis=1),
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    return mean.to_numpy()[len(mean) // 8 :]


def _window(axes: Axes, late: list[np.ndarray]) -> None:
    """Limit the view to what follows the first eighth of training, which would flatten the rest."""
    values = np.concatenate(late) if late else np.zeros(0)
    if len(values) and np.ptp(values) > 0:
        low, high = np.quantile(values, [0.01, 0.99])
        margin = 0.15 * (high - low) or np.ptp(values)
        axes.set_ylim(low - margin, high + margin)


def scatter(
    x: Column, y: Column, rows: Sequence[Row], look: Look, *, guides: bool = False
) -> Figure | None:
    """One metric against another, with the table's intervals; better is up and to the right.

    With `guides` x is a rate and y a distortion: lines of equal ELBO are drawn.
    """
    points = [(r, r.entries[x.name], r.entries[y.name]) for r in rows if r.entries]
    points = [(r, a, b) for r, a, b in points if a.value is not None and b.value is not None]
    if len(points) < 2:
        return None
    figure, axes = blank(4.4, 3.4)
    for row, a, b in points:
        axes.errorbar(
            a.value or 0.0, b.value or 0.0, xerr=a.margin, yerr=b.margin,
            color=look.colour(row.label), marker=look.marker(row.label), markersize=7,
            elinewidth=1.2, linestyle="none",
        )  # fmt: skip
    axes.margins(0.18)
    if guides:
        _guides(axes)
    for column, invert in ((x, axes.invert_xaxis), (y, axes.invert_yaxis)):
        if column.better == "lower" and not guides:
            invert()
    axes.set_xlabel(_label(x))
    axes.set_ylabel(_label(y))
    _name(axes, [(row.label, a, b) for row, a, b in points], look)
    return figure


def _label(column: Column) -> str:
    unit = f" ({column.suffix})" if column.suffix else ""
    hint = {"higher": ", higher is better", "lower": ", lower is better"}.get(
        column.better or "", ""
    )
    return f"{column.title}{unit}{hint}"


def _guides(axes: Axes) -> None:
    """Lines of equal ELBO = -(rate + distortion) behind the points."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for total in np.linspace(left + bottom, right + top, 9)[1:-1]:
        axes.plot(
            [left, right], [total - left, total - right], color=_INK, alpha=0.15, linewidth=0.8
        )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _brief(label: str) -> str:
    return label if len(label) <= 22 else f"{label[:21]}…"


def _name(axes: Axes, points: Sequence[tuple[str, Entry, Entry]], look: Look) -> None:
    """Write each label beside its point, where it covers no label that is already there."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    spots = [(a.value or 0.0, b.value or 0.0) for _, a, b in points]
    taken = [(x, y) for x, y in axes.transData.transform(spots) * 72 / figure.dpi]
    for (x, y), (label, a, b) in zip(taken[:], points, strict=True):
        text = _brief(label)
        places = [(8, 4), (8, -11), (-8, 4), (-8, -11), (8, 15), (8, -22), (-8, 15), (-8, -22)]
        dx, dy = next((p for p in places if _free(x, y, p, len(text), taken)), places[0])
        taken += [(x + dx + math.copysign(5 * i, dx), y + dy) for i in range(len(text))]
        axes.annotate(
            text, (a.value or 0.0, b.value or 0.0), (dx, dy), textcoords="offset points",
            ha="left" if dx > 0 else "right", fontsize=8, color=look.colour(label),
            parse_math=False,
        )  # fmt: skip


def _free(
    x: float, y: float, place: tuple[int, int], letters: int, taken: Sequence[tuple[float, float]]
) -> bool:
    dx, dy = place
    spots = [(x + dx + math.copysign(5 * i, dx), y + dy) for i in range(letters)]
    return all(abs(u - s) > 5 or abs(v - t) > 10 for s, t in spots for u, v in taken)
