"""What is read of a run: tables, and one self-contained page of pictures, plots and details."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vaebench.report.tables.choice import Wish
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


def write(
    folder: Path | str,
    out: Path | None = None,
    wish: "Wish | None" = None,
    figures: Sequence[str] = (),
    *,
    title: str | None = None,
    note: str | None = None,
) -> Report:
    """Write a run's tables and ``report.html``, each file atomically.

    Args:
        folder: The run's folder.
        out: Where to write; by default into the run.
        wish: What the tables show, where that is not the usual.
        figures: Formats of files, see `plots.export.FORMATS`, that each plot of the page is
            written to in the folder ``figures``.
        title: What the page is called, kept where it is written; None for what is kept.
        note: What the page says below its title, kept too.

    Raises:
        UserError: The folder is not a run, it has no column that is wished for, or a text is too
            long.
        OSError: A file cannot be written.
    """
    from vaebench.report.comparison.tuned import tuned
    from vaebench.report.page import page
    from vaebench.report.sheet import sheets
    from vaebench.report.tables.choice import Wish, chosen
    from vaebench.report.tables.text import Terminal
    from vaebench.report.tables.worth import terminal
    from vaebench.report.tables.write import write
    from vaebench.runs import about
    from vaebench.runs.run import Run

    run = Run(folder, pending=True)
    found, wish = sheets(run), wish or Wish()
    shown = found if wish.digits is None else sheets(run, wish.digits)
    shown = chosen(shown, wish.columns) if wish.columns else shown
    out = out or run.folder
    said = about.keep(run.folder, title, note, out)
    write(run, shown, out, wish)
    if figures:
        from vaebench.report.plots import export

        export.write(run, found, out / "figures", figures)
    return Report(
        run, page.write(run, found, out, said), Terminal(shown, terminal(tuned(run, found)))
    )
