"""Which columns a table shows: those that are asked for, or what a paper has room for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaebench.errors import UserError, meant, nearest
from vaebench.report.columns import Column, named
from vaebench.report.sheet import Block, Sheet

#: Of the main columns, those that a paper's table shows first, by the part that they play.
_FIRST = ("likelihood", "elbo", "rate", "samples")
#: Columns that it has at least, if there are so many, and at most.
_LEAST, _MOST = 4, 6
#: Digits of its size in the width of a page, and what stands between two columns and in a mark.
_LINE, _BETWEEN, _MARK = 76, 2, 2
#: The size of an error beside its number.
_ERROR = 0.8


@dataclass(frozen=True)
class Wish:
    """What tables are to show; each with its usual value where nothing is asked for.

    Attributes:
        columns: Their columns, see `columns.named`.
        digits: Decimals, see `columns.fixed`.
        caption: The caption in the LaTeX of the first table.
        label: Its label; those that follow have a number behind it.
    """

    columns: tuple[str, ...] = ()
    digits: int | None = None
    caption: str = ""
    label: str = ""


def chosen(sheets: Sequence[Sheet], names: Sequence[str]) -> list[Sheet]:
    """The sheets with the columns that names stand for as their main ones, in that order.

    A data set that has none of them is left out.

    Raises:
        UserError: A name stands for no column, or for several of one data set.
    """
    for name in names:
        if not any(named(name, sheet.columns) for sheet in sheets):
            raise _unknown(name, sheets)
    found = [replace(sheet, columns=_chosen(sheet, names)) for sheet in sheets]
    return [sheet for sheet in found if any(column.key for column in sheet.columns)]


def _chosen(sheet: Sheet, names: Sequence[str]) -> list[Column]:
    main = dict.fromkeys(_one(name, sheet) for name in names)
    first = [replace(column, place=i) for i, column in enumerate(filter(None, main))]
    taken = {column.name for column in first}
    rest = (column for column in sheet.columns if column.name not in taken)
    return [*first, *(replace(column, place=None) for column in rest)]


def _one(name: str, sheet: Sheet) -> Column | None:
    found = named(name, sheet.columns)
    if len(found) > 1:
        names = ", ".join(column.name for column in found)
        raise UserError(f"{name!r} may be each of {names} on {sheet.dataset}; name one of them.")
    return found[0] if found else None


def _unknown(name: str, sheets: Sequence[Sheet]) -> UserError:
    columns = [column for sheet in sheets for column in sheet.columns]
    known = {each for column in columns for each in (column.name, column.stem) if each}
    main = ", ".join(dict.fromkeys(column.name for column in columns if column.key))
    hint = meant(nearest(name, known, 1)) or f"The main ones are {main or 'none yet'}."
    return UserError(f"The run has no column {name!r}. {hint}")


def for_paper(sheet: Sheet) -> Sheet:
    """The sheet with four to six of its main columns, as many as the width of a page allows."""
    main = [column for column in sheet.columns if column.key]
    there = [column for column in main if any(_value(column, block) for block in sheet.blocks)]
    ranked = sorted(there, key=_rank)
    room: float = _LINE - max((len(row.label) for b in sheet.blocks for row in b.rows), default=0)
    kept = 0
    for column in ranked[:_MOST]:
        room -= max(_width(column, block) for block in sheet.blocks) + _BETWEEN
        if room < 0 and kept >= _LEAST:
            break
        kept += 1
    names = {column.name for column in ranked[:kept]}
    columns = [c if c.name in names else replace(c, place=None) for c in sheet.columns]
    return replace(sheet, columns=columns)


def _rank(column: Column) -> tuple[int, int]:
    part = _FIRST.index(column.role) if column.role in _FIRST else len(_FIRST)
    return part, -column.keep


def _value(column: Column, block: Block) -> bool:
    return any(row.entries and row.entries[column.name].value is not None for row in block.rows)


def _width(column: Column, block: Block) -> float:
    """The width of a column in digits of the table's size."""
    entries = [row.entries[column.name] for row in block.rows if row.entries]
    widths = [len(e.text) + _ERROR * len(e.error) + (_MARK if e.mark else 0) for e in entries]
    return max(len(column.short), *widths, 0)
