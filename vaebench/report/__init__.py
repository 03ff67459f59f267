"""What is read of a run: tables, and one self-contained page of pictures, plots and details."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vaebench.report.tables.text import Terminal
    from vaebench.runs.run import Run


class Report(NamedTuple):
    """What was made of a run.

    Attributes:
        run: The run, with the cells that it has yet to begin.
        page: The path of the page.
        terminal: The tables as something that rich prints.
    """

    run: "Run"
    page: Path
    terminal: "Terminal"


def write(folder: Path | str, out: Path | None = None) -> Report:
    """Write a run's tables and ``report.html``, each file atomically.

    Args:
        folder: The run's folder.
        out: Where to write; by default into the run.

    Raises:
        UserError: The folder is not a run.
        OSError: A file cannot be written.
    """
    from vaebench.report.page import page
    from vaebench.report.sheet import sheets
    from vaebench.report.tables.text import Terminal
    from vaebench.report.tables.write import write
    from vaebench.runs.run import Run

    run = Run(folder, pending=True)
    found = sheets(run)
    out = out or run.folder
    write(run, found, out)
    return Report(run, page.write(run, found, out), Terminal(found))
