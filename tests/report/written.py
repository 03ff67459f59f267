"""What is made of a run, one thing at a time."""

from pathlib import Path

import pytest
from markupsafe import Markup

from vaebench.report.page import page
from vaebench.report.plots import style
from vaebench.report.sheet import Sheet, sheets
from vaebench.report.tables import write
from vaebench.report.tables.text import Terminal
from vaebench.runs import about
from vaebench.runs.run import Run

#: A figure that shows nothing, which takes no time.
EMPTY = Markup('<svg role="img" aria-label="empty"></svg>')


def read(folder: Path) -> Run:
    """The run, with the cells that it has yet to begin."""
    return Run(folder, pending=True)


def sheets_of(folder: Path) -> list[Sheet]:
    """Its tables."""
    return sheets(read(folder))


def write_tables(folder: Path) -> None:
    """Write the files of its tables."""
    run = read(folder)
    write.write(run, sheets(run), folder)


def terminal(folder: Path) -> Terminal:
    """Its tables for the terminal."""
    return Terminal(sheets_of(folder))


def render(folder: Path, drawn: bool = True) -> str:
    """The HTML of its page; without `drawn`, figures are made but stay empty."""
    run = read(folder)
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr(style, "svg", lambda figure, description, prefix: EMPTY)
        return page.render(run, sheets(run), about.read(folder))
