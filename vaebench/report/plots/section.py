"""The plots of a block of rows, in the order of the page."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from vaebench.report.columns import first, headlines
from vaebench.report.plots import history, terms
from vaebench.report.plots.look import Look
from vaebench.report.plots.scatter import scatter
from vaebench.report.sheet import Block, Sheet
from vaebench.runs.numbers import Numbers
from vaebench.runs.schema import Record


class Plot(NamedTuple):
    """A figure with its heading and explanation.

    `key` tells it from the others of its block; `named` says whether the figure itself says which
    variant is which.
    """

    key: str
    title: str
    text: str
    figure: Figure
    named: bool


def plots(
    sheet: Sheet,
    block: Block,
    look: Look,
    records: Mapping[str, Record],
    epochs: Mapping[str, Numbers],
) -> Iterator[Plot]:
    """Each plot that the block has data for, of records and histories by cell."""
    rate, distortion = first(sheet.columns, "rate"), first(sheet.columns, "distortion")
    main, quality = (*headlines(sheet.columns), None, None)[:2]
    seconds = first(sheet.columns, "cost")
    pairs = (
        (rate, distortion, "Rate and distortion", "Faint lines join points of equal ELBO."),
        (main, quality, "Likelihood and samples", "Better is up and to the right."),
        (seconds, main, "Cost and likelihood", "Better is up and to the left."),
    )
    for number, (x, y, title, text) in enumerate(pairs):
        if x and y and x is not y:
            figure = scatter(x, y, block.rows, look, guides=x is rate)
            if figure:
                yield Plot(f"x{number}", title, text, figure, named=True)
    for number, (title, text, figure) in enumerate(terms.figures(block, records, look)):
        yield Plot(f"t{number}", title, text, figure, named=False)
    histories = {
        row.label: [epochs[cell] for cell in row.cells if records[cell]["status"] == "done"]
        for row in block.rows
    }
    for number, (title, text, figure) in enumerate(history.curves(histories, look)):
        yield Plot(f"c{number}", title, text, figure, named=False)
