"""What is made of a run, one thing at a time."""

from pathlib import Path

from vaebench.report.page import page
from vaebench.report.sheet import Sheet, sheets
from vaebench.report.tables import write
from vaebench.report.tables.text import Terminal
from vaebench.runs import about
from vaebench.runs.run import Run


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


def render(folder: Path) -> str:
    """The HTML of its page."""
    run = read(folder)
    return page.render(run, sheets(run), about.read(folder))
