"""One self-contained page of a run: tables, pictures, plots and the details of each cell."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaebench.report.reading import Reading


def write(run: "Path | str | Reading") -> Path:
    """Write ``report.html`` of a run and return its path.

    Raises:
        UserError: The folder is no run.
    """
    from vaebench import store
    from vaebench.report.page import render
    from vaebench.report.reading import read

    reading = read(run)
    path = reading.run / "report.html"
    store.write_text(path, render(reading))
    return path
