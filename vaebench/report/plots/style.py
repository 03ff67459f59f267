"""Plots of a run as SVG that takes its text colour and font from the page around it."""

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaebench.report.columns import Column
from vaebench.report.rows import Row
from vaebench.statistics.comparisons import Verdict

#: Legible on white and on near-black.
COLOURS = (
    *("#3b82f6", "#e0821a", "#16a06a", "#d9489a", "#8b5cf6"),
    *("#0e9fb5", "#a3842b", "#e5484d", "#6b8e23", "#8d6e63"),
)
MARKERS = "osD^vPX<>p"
_GREY = "#8a8d93"
#: A plot of more variants than this shows some of them in grey: all but the first few.
_MOST = 8
_FEW = 6
INK = "#010203"
_STYLE: Any = {
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "vaebench",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
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
    """A colour and a marker for each variant, the same in all plots of a page.

    Args:
        labels: The variants.
        grey: Those of them that stay in the background.
    """

    def __init__(self, labels: Iterable[str], grey: Iterable[str] = ()) -> None:
        self.labels = list(dict.fromkeys(labels))
        self.grey = frozenset(grey)

    @classmethod
    def of(cls, labels: Iterable[str]) -> "Look":
        """By name as long as each variant has a colour of its own, else the best first."""
        found = list(dict.fromkeys(labels))
        return cls(sorted(found) if len(found) <= len(COLOURS) else found)

    def focused(self, labels: Sequence[str]) -> "Look":
        """The look of a plot of `labels`, the best first: of many all but a few are grey."""
        return Look(self.labels, labels[_FEW:] if len(labels) > _MOST else ())

    def line(self, label: str) -> dict[str, Any]:
        """How the variant's line is drawn."""
        if label in self.grey:
            return {"color": _GREY, "linewidth": 0.8, "alpha": 0.55, "zorder": 1.5}
        return {"color": self.colour(label)}

    def colour(self, label: str) -> str:
        """The variant's colour."""
        if label in self.grey:
            return _GREY
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
    text = text[text.index("<svg") :].replace(INK, "currentColor")
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
    """The difference of each variant to the best one, with the interval that decides."""
    found = {name: (d.mean, d.margin, d.margin) for name, d in verdict.differences.items()}
    figure, axes = ladder({verdict.best: (0.0, 0.0, 0.0)} | found, look)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.5)
    unit = f", {column.suffix}" if column.suffix else ""
    axes.set_xlabel(f"difference to {brief(verdict.best)}{unit}", parse_math=False)
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
    axes.set_yticks(range(len(names)), [brief(name) for name in names], parse_math=False)
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
            band = label not in look.grey
            late.append(_curve(axes, pd.concat(have, axis=1), look.line(label), band=band))
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


def _curve(axes: Axes, values: pd.DataFrame, line: dict[str, Any], *, band: bool) -> np.ndarray:
    """Draw seeds (epochs, S) as a line, with a band or not; return what has to stay in view."""
    values = values.iloc[:: max(1, len(values) // _POINTS)]
    mean = values.mean(axis=1)
    axes.plot(values.index, mean, **line)
    if band and values.shape[1] > 1:
        axes.fill_between(
            values.index,
            values.min(axis=1),
            values.max(axis=1),
            color=line["color"],
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


def axis_title(column: Column) -> str:
    """What a column is, in which unit, and which way is better."""
    unit = f" ({column.suffix})" if column.suffix else ""
    hint = {"higher": ", higher is better", "lower": ", lower is better"}.get(
        column.better or "", ""
    )
    return f"{column.title}{unit}{hint}"


def brief(label: str) -> str:
    """A label that is short enough for a plot."""
    return label if len(label) <= 22 else f"{label[:21]}…"
