"""The plots of a page as files, for papers and slides."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vaebench.report.columns import headlines
from vaebench.report.plots import ladder, style
from vaebench.report.plots.look import Look
from vaebench.report.plots.section import Plot, plots
from vaebench.report.sheet import Block, Sheet
from vaebench.runs import files
from vaebench.runs.run import Run

FORMATS = ("pdf", "svg", "png")
#: Fonts that journals take and programs that draw can change; the same bytes every time.
_STYLE: Any = {"pdf.fonttype": 42, "svg.fonttype": "path", "savefig.dpi": 200}
#: What a file says of its making is left out.
_SILENT = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
#: Letters of the parts of a file's name.
_LETTERS = 48


def write(run: Run, sheets: Sequence[Sheet], folder: Path, formats: Iterable[str]) -> None:
    """Write each plot of a run into a folder, as ``<data set>-<plot>.<format>``.

    Curves have a legend; the others name their variants themselves.

    Args:
        run: The run.
        sheets: Its tables.
        folder: Where to write.
        formats: Of `FORMATS`.
    """
    look = Look(row.label for s in sheets for b in s.blocks for row in b.rows)
    blocks = [replace(sheet, blocks=[block]) for sheet in sheets for block in sheet.blocks]
    names: set[str] = set()
    with style.styled(), matplotlib.rc_context(_STYLE):
        for sheet in blocks:
            (block,) = sheet.blocks
            shown = [row.label for row in block.rows if row.entries]
            focused = look.focused(shown)
            for plot in (
                *_cards(sheet, block, look),
                *plots(sheet, block, focused, run.records, run.epochs),
            ):
                if not plot.named:
                    labels = [label for label in shown if label not in focused.grey]
                    _legend(plot.figure, plot.title, labels, focused)
                name = _unique(f"{_plain(sheet.dataset)}-{_plain(plot.title)}", names)
                for kind in formats:
                    files.write_bytes(folder / f"{name}.{kind}", _saved(plot.figure, kind))


def _cards(sheet: Sheet, block: Block, look: Look) -> Iterator[Plot]:
    """The differences that the verdicts rest on."""
    for column in headlines(sheet.columns):
        if found := block.verdicts.get(column.name):
            figure = ladder.differences(column, found, look)
            yield Plot(column.name, f"Differences in {column.name}", "", figure, named=True)


def _legend(figure: Figure, title: str, labels: Sequence[str], look: Look) -> None:
    """Name the lines of a figure that are not in grey, and its axis where it has no name."""
    (axes,) = figure.axes
    axes.set_ylabel(axes.get_ylabel() or title, parse_math=False)
    drawn = {line.get_color() for line in axes.lines}
    handles = [
        Line2D([], [], label=style.brief(label), **look.line(label), marker=look.marker(label))
        for label in labels
        if look.colour(label) in drawn
    ]
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + 1.1, height)
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)


def _saved(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=_SILENT[kind])
    return file.getvalue()


def _plain(text: str) -> str:
    """What a file may be called on every system."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[-_LETTERS:].strip("-") or "plot"


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number where another plot has it already."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found
