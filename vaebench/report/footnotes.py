"""Footnotes numbered in the order in which a table meets them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vaebench.report.columns import Column
from vaebench.report.rows import Row
from vaebench.report.sheet import Sheet


def footnoted(sheet: Sheet, columns: Sequence[Column]) -> tuple[Sheet, list[str]]:
    """Renumber a sheet's footnotes from 1 on, for a table that shows some of its columns.

    Returns:
        The sheet, and the footnotes that the table refers to; in the sheet they come first.
    """
    names = [column.name for column in columns]
    met = list(dict.fromkeys(_met(sheet, names)))
    rest = [number for number in range(1, len(sheet.notes) + 1) if number not in met]
    new = {old: i for i, old in enumerate([*met, *rest], 1)}
    texts = [sheet.notes[old - 1] for old in new]
    blocks = [
        replace(block, rows=[_renumbered(row, new) for row in block.rows]) for block in sheet.blocks
    ]
    heads = [replace(column, notes=_numbers(column.notes, new)) for column in sheet.columns]
    return replace(sheet, columns=heads, blocks=blocks, notes=texts), texts[: len(met)]


def _met(sheet: Sheet, names: list[str]) -> Iterator[int]:
    for column in sheet.columns:
        if column.name in names:
            yield from column.notes
    for block in sheet.blocks:
        for row in block.rows:
            yield from row.notes
            for name in names if row.entries else ():
                yield from row.entries[name].notes


def _renumbered(row: Row, new: Mapping[int, int]) -> Row:
    entries = {
        name: replace(entry, notes=_numbers(entry.notes, new))
        for name, entry in row.entries.items()
    }
    return replace(row, notes=_numbers(row.notes, new), entries=entries)


def _numbers(notes: tuple[int, ...], new: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(sorted(new[note] for note in notes))
