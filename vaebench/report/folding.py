"""Columns that no row of a table has a value of."""

from collections import Counter
from dataclasses import replace

from vaebench.report.columns import Column
from vaebench.report.footnotes import footnoted
from vaebench.report.rows import Row
from vaebench.report.sheet import Sheet


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
