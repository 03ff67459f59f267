"""One self-contained page of a run: tables, pictures, plots and the details of each cell."""

from pathlib import Path


def write(run: Path | str) -> Path:
    """Write ``report.html`` of a run and return its path.

    Raises:
        UserError: The folder is no run.
    """
    from vaebench import store
    from vaebench.report.page import render

    path = Path(run) / "report.html"
    store.write_text(path, render(run))
    return path
