"""The first table of several data sets: variants down, data sets across, a metric at a time."""

from collections.abc import Sequence
from typing import NamedTuple

from vaebench.report.columns import headlines
from vaebench.report.comparison.overall import one_each
from vaebench.report.rows import Entry
from vaebench.report.sheet import Block, Sheet


class Across(NamedTuple):
    """One metric on all data sets: by variant an entry for each, None where it has none."""

    title: str
    datasets: list[str]
    rows: list[tuple[str, list[Entry | None]]]


def across(blocks: Sequence[tuple[Sheet, Block]]) -> list[Across]:
    """The headline metrics that two or more data sets share; metrics of features by their kind."""
    found: dict[str, dict[str, dict[str, Entry]]] = {}
    for sheet, block in one_each(blocks):
        for column in headlines(sheet.columns):
            entries = {r.label: r.entries[column.name] for r in block.rows if r.entries}
            title = f"{column.short} {column.arrow}".strip()
            title += f", {column.suffix}" if column.suffix else ""
            found.setdefault(title, {})[sheet.dataset] = entries
    return [
        Across(
            title,
            list(by_dataset),
            [
                (label, [entries.get(label) for entries in by_dataset.values()])
                for label in dict.fromkeys(n for each in by_dataset.values() for n in each)
            ],
        )
        for title, by_dataset in found.items()
        if len(by_dataset) > 1
    ]
