"""Footnotes numbered in the order in which a table meets them."""

from collections import Counter
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


def folded(sheet: Sheet) -> tuple[Sheet, str]:
    """Leave out the columns that are n/a for all rows, with the footnotes of these alone.

    Returns:
        The sheet without them, and a sentence that names them with their reasons; it is empty
        where all columns have a value.
    """
    reasons: dict[str, list[str]] = {}
    kept = []
    for column in sheet.columns:
        reason = _reason(sheet, column)
        if reason is None:
            kept.append(column)
        else:
            reasons.setdefault(reason, []).append(column.title)
    if not reasons:
        return sheet, ""
    names = {column.name for column in kept}
    blocks = [
        replace(block, rows=[_narrowed(row, names) for row in block.rows]) for block in sheet.blocks
    ]
    sheet, notes = footnoted(replace(sheet, columns=kept, blocks=blocks), kept)
    groups = (f"{', '.join(titles)} ({reason})" for reason, titles in reasons.items())
    return replace(sheet, notes=notes), f"No variant has a value of {'; of '.join(groups)}."


def _narrowed(row: Row, names: set[str]) -> Row:
    return replace(row, entries={k: entry for k, entry in row.entries.items() if k in names})


def _reason(sheet: Sheet, column: Column) -> str | None:
    """Why no row has the column, in the words of most; None where one has it, or none is done."""
    entries = [
        row.entries[column.name] for block in sheet.blocks for row in block.rows if row.entries
    ]
    if not entries or any(entry.value is not None for entry in entries):
        return None
    said = Counter(sheet.notes[note - 1] for entry in entries for note in entry.notes)
    return said.most_common(1)[0][0].removeprefix("n/a: ")
