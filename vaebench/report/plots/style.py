"""Plots of a run as SVG that takes its text colour and font from the page around it."""

import io
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from vaebench.report.columns import Column

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
#: Letters of an axis's title that fit into a line.
_LINE = 44
#: Letters of a label that a plot has room for.
_LETTERS = 22


def svg(figure: Figure, description: str, prefix: str) -> Markup:
    """A figure as inline SVG; `prefix` keeps its ids apart from those of other figures."""
    file = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    # `savefig` would draw everything twice, the first time for its places alone.
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Markers take the colour of their place, so that a page can change it.
    text = re.sub(r'(<path id="m[0-9a-f]+"[^>]*style=")stroke: [^;"]+;? ?', r"\1", text)
    text = re.sub(r'id="row-(\d+)"', r'data-row="\1"', text)
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


def with_unit(text: str, unit: str | None) -> str:
    """A text and its unit; in two lines where it is long."""
    if not unit:
        return text
    both = f"{text}, {unit}"
    return both if len(both) <= _LINE else f"{text}\n{unit}"


def axis_title(column: Column) -> str:
    """What a column is, in which unit, and which way is better; in two lines where it is long."""
    hint = {"higher": ", higher is better", "lower": ", lower is better"}.get(
        column.better or "", ""
    )
    unit = f" ({column.unit})" if column.unit else ""
    text = f"{column.title}{unit}{hint}"
    if len(text) <= _LINE:
        return text
    return f"{column.title}\n{column.unit}{hint}" if column.unit else text


def tagged(artists: Iterable[Artist], tag: str) -> None:
    """Give artists the name of the variant that they show."""
    for artist in artists:
        artist.set_gid(tag)


def brief(label: str) -> str:
    """A label that is short enough for a plot, cut after a whole option."""
    if len(label) <= _LETTERS:
        return label
    cut = label.rfind(",", 0, _LETTERS) + 1 or label.find("[") + 1
    if 0 < cut <= _LETTERS:
        return f"{label[:cut]}…]"
    return f"{label[: _LETTERS - 1]}…"
