"""The part of a page that is about all data sets and seeds together."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from vaebench.report.columns import headlines
from vaebench.report.comparison.standings import TEXT, Standing, standing, standing_rows
from vaebench.report.plots.ladder import ladder
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import svg
from vaebench.report.sheet import Block, Sheet
from vaebench.runs.schema import Record
from vaebench.statistics import iqm


def section(
    blocks: Sequence[tuple[Sheet, Block]], records: Mapping[str, Record], look: Look
) -> dict[str, Any] | None:
    """What a page shows of the standings; None where there is nothing to compare."""
    found, reason = _standings(blocks, records)
    names = {column.name for sheet, _ in blocks for column in headlines(sheet.columns)}
    figures = [
        (
            each.column.title,
            svg(_figure(each, look), f"{each.column.title}. {TEXT}", f"iqm{i}"),
        )
        for i, each in enumerate(found)
        if each.column.name in names
    ]
    if not found and not reason:
        return None
    return {
        "columns": [each.column for each in found],
        "rows": [(label, look.colour(label), texts) for label, *texts in standing_rows(found)],
        "figures": figures,
        "text": TEXT if found else reason,
    }


def _standings(
    blocks: Sequence[tuple[Sheet, Block]], records: Mapping[str, Record]
) -> tuple[list[Standing], str]:
    """The standings in each key metric, or what is lacking for any."""
    columns = {c.name: c for sheet, _ in blocks for c in sheet.columns if c.key and c.better}
    tasks = {
        name: [task for _, block in one_each(blocks) if len(task := _task(block, name, records))]
        for name in columns
    }
    found = [standing(column, tasks[name]) for name, column in columns.items()]
    reasons = [iqm.lacking(each) for each in tasks.values() if each]
    known = [each for each in found if each]
    return known, "" if known else next(iter(filter(None, reasons)), "")


def one_each(blocks: Sequence[tuple[Sheet, Block]]) -> list[tuple[Sheet, Block]]:
    """The first block of each data set, so that each counts once."""
    return list({sheet.dataset: (sheet, block) for sheet, block in reversed(blocks)}.values())[::-1]


def _task(block: Block, name: str, records: Mapping[str, Record]) -> dict[str, list[float]]:
    found = {}
    for row in block.rows if len(block.rows) > 1 else ():
        metrics = [records[cell]["metrics"].get(name) for cell in row.cells]
        if known := [m["value"] for m in metrics if m and m["value"] is not None]:
            found[row.label] = known
    return found


def _figure(found: Standing, look: Look) -> Figure:
    """The interquartile means with their intervals."""
    points = {
        label: (each.mean, each.mean - each.low, each.high - each.mean)
        for label, each in found.means.items()
    }
    drawn, axes = ladder(points, look)
    axes.set_xlabel("interquartile mean of scores, 1 is best")
    return drawn
