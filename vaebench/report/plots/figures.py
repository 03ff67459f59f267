"""The report's plots for notebooks, as matplotlib axes."""

from matplotlib.axes import Axes

from vaebench.errors import UserError, unknown
from vaebench.report.columns import Column
from vaebench.report.plots import history, ladder, style
from vaebench.report.plots.look import Look
from vaebench.report.plots.scatter import scatter as draw
from vaebench.report.sheet import Block, sheets
from vaebench.runs import numbers
from vaebench.runs.run import Run


def curves(run: Run, term: str) -> Axes:
    """A term of the history over epochs, the variants of one block named in a legend."""
    _, block, look = _only(run)
    terms = set(run.history["term"])
    if term not in terms:
        raise unknown("term of the history:", term, terms)
    cells = [cell for row in block.rows for cell in row.cells]
    found = numbers.read(run.folder, cells, "history.csv", "epoch")
    histories = {row.label: [found[cell] for cell in row.cells] for row in block.rows}
    with style.styled():
        axes = history.curve(term, histories, look).axes[0]
        axes.set_ylabel(term.replace("_", " "))
        labels = [label for label, frames in histories.items() if any(term in f for f in frames)]
        axes.legend(axes.lines, labels, fontsize="small")
    return axes


def scatter(run: Run, x: str, y: str) -> Axes:
    """One metric against another."""
    columns, block, look = _only(run)
    with style.styled():
        across, up = _column(columns, x), _column(columns, y)
        guides = (across.role, up.role) == ("rate", "distortion")
        figure = draw(across, up, block.rows, look, guides=guides)
    if figure is None:
        raise UserError(f"Fewer than two variants have both {x} and {y}.")
    return figure.axes[0]


def differences(run: Run, metric: str) -> Axes:
    """The difference of each variant to the best one, whatever is said against any of them."""
    columns, block, look = _only(run)
    column = _column(columns, metric)
    if metric not in block.wholes:
        raise UserError(f"Nothing says how far apart the variants are in {metric}.")
    with style.styled():
        return ladder.differences(column, block.wholes[metric], look).axes[0]


def _only(run: Run) -> tuple[dict[str, Column], Block, Look]:
    """The only block of a run, its columns by name, and the colours of its rows."""
    found = sheets(run)
    blocks = [(sheet, block) for sheet in found for block in sheet.blocks]
    if len(blocks) != 1:
        raise UserError(
            f"{run.folder} holds {len(blocks)} settings that may not be put into one plot; "
            "take the frames and plot what you want to compare."
        )
    sheet, block = blocks[0]
    columns = {column.name: column for column in sheet.columns}
    return columns, block, Look(row.label for row in block.rows)


def _column(columns: dict[str, Column], name: str) -> Column:
    if name not in columns:
        raise unknown("metric", name, columns)
    return columns[name]
