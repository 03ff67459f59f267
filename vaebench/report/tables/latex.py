"""Sheets as LaTeX tables that need nothing but booktabs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from matplotlib.mathtext import MathTextParser

from vaebench.config.metric import SYMBOL
from vaebench.report.columns import Column
from vaebench.report.footnotes import footnoted
from vaebench.report.rows import Entry, Row
from vaebench.report.sheet import Block, Sheet
from vaebench.report.summary import caption, summary

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "-": "{-}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "◇": r"$\diamond$",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "\u00a0": "~",
}
#: What pdfLaTeX has no glyph for is left out; Latin letters with accents it knows.
_UNKNOWN = re.compile("[^\x20-\x7e\u00a1-\u017f]")
#: Characters of a symbol.
_LONGEST = 100
_SUBSCRIPT = re.compile("[₀-₉]+")
_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def latex(sheets: list[Sheet], label: str, own: str = "") -> str:
    """The tables for a paper: ``\\input{table.tex}`` with the package booktabs.

    Args:
        sheets: What they show: the main columns.
        label: Of the first table; the next ones have ``-2``, ``-3`` and so on behind it.
        own: The first table's caption in LaTeX; what the numbers are then stands below.

    Returns:
        The LaTeX; verdicts are comments.
    """
    head = "% Written by vaebench. Needs \\usepackage{booktabs}.\n"
    blocks = [replace(sheet, blocks=[block]) for sheet in sheets for block in sheet.blocks]
    tables = (
        _table(sheet, f"{label}-{number}" if number > 1 else label, own if number == 1 else "")
        for number, sheet in enumerate(blocks, 1)
    )
    return head + "\n".join("\n".join(lines) + "\n" for lines in tables)


def label_of(name: str) -> str:
    """The label of the table of a run with this name."""
    return f"tab:{re.sub('[^A-Za-z0-9.]+', '-', name).strip('-') or 'vaebench'}"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; characters that it has no glyph for are left out."""
    parts = re.split(f"({_SUBSCRIPT.pattern})", " ".join(str(text).split()))
    return "".join(
        f"$_{{{part.translate(_DIGITS)}}}$"
        if _SUBSCRIPT.fullmatch(part)
        else "".join(_SPECIAL.get(c) or _UNKNOWN.sub("", c) for c in part)
        for part in parts
    )


def _table(sheet: Sheet, label: str, own: str) -> Iterator[str]:
    """The lines of the table of a sheet's only block."""
    sheet, notes = footnoted(sheet, [column for column in sheet.columns if column.key])
    (block,) = sheet.blocks
    columns = [column for column in sheet.columns if column.key]
    title = ", ".join(filter(None, (sheet.dataset, sheet.title(block))))
    yield from (f"% {escape(sentence)}" for sentence in summary(sheet, block))
    yield r"\begin{table}"
    yield r"\centering\small\setlength{\tabcolsep}{4pt}"
    counted = len({row.seeds for row in block.rows}) > 1
    words = f"{caption(block, columns, 'in bold')} {_seeds(block, counted)}"
    yield rf"\caption{{{own or escape(f'{title}. {words}')}}}"
    yield rf"\label{{{label}}}"
    yield r"\smallskip"
    tuned = block.tuned
    yield rf"\begin{{tabular}}{{l{'l' * tuned}{'r' * (len(columns) + counted)}}}"
    yield r"\toprule"
    yield _line(["variant", *["settings"] * tuned, *map(_head, columns), *["$n$"] * counted])
    if any(under := [_under(column) for column in columns]):
        yield _line(["", *[""] * tuned, *under, *[""] * counted])
    yield r"\midrule"
    marked = {c.name for c in columns for r in block.rows if r.entries and _sign(r.entries[c.name])}
    for row in block.rows:
        cells = [*_cells(row, columns, marked), *[str(row.seeds)] * counted]
        kind = [escape(row.tuning)] * tuned
        yield _line([escape(row.label) + _marks(row.notes), *kind, *cells])
    if any(column.name in block.references for column in columns):
        texts = (_number(block.references.get(column.name, "")) for column in columns)
        yield r"\midrule"
        yield _line(["real images", *[""] * tuned, *texts, *[""] * counted])
    yield r"\bottomrule"
    yield r"\end{tabular}"
    below = [escape(words)] * bool(own)
    below += [f"$^{{{i}}}$ {escape(note)}" for i, note in enumerate(notes, 1)]
    if below:
        yield r"\par\smallskip\footnotesize\raggedright"
        yield r" \\ ".join(below)
    yield r"\end{table}"


def _seeds(block: Block, counted: bool) -> str:
    if counted:
        return "n counts the finished seeds."
    return f"Each row is of {block.seeds} seeds." if block.seeds > 1 else ""


def _under(column: Column) -> str:
    """The second line of a head: the unit, or the features."""
    return escape(column.suffix or (column.features and f"({column.features})"))


def _line(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _head(column: Column) -> str:
    text = f"${column.symbol}$" if _mathematics(column.symbol) else escape(column.short)
    return f"{text} {escape(column.arrow)}".strip() + _marks(column.notes)


@cache
def _mathematics(symbol: str) -> bool:
    """Whether LaTeX can set it, which comes from a file that others may have written."""
    try:
        if symbol and len(symbol) <= _LONGEST and SYMBOL.fullmatch(symbol):
            MathTextParser("path").parse(f"${symbol}$")
            return True
    except ValueError:
        pass
    return False


def _cells(row: Row, columns: list[Column], marked: set[str]) -> list[str]:
    if not row.entries:
        return [rf"\multicolumn{{{len(columns)}}}{{l}}{{{row.state}}}"]
    return [_entry(row.entries[column.name], column.name in marked) for column in columns]


def _sign(entry: Entry) -> str:
    """What stands behind a number."""
    return {"tied": "=", "wide": "?", "model": r"$\diamond$"}.get(entry.mark, "")


def _entry(entry: Entry, marked: bool) -> str:
    """A number; where others of its column are marked it has room for a mark, so that all align."""
    text = _number(entry.text)
    if entry.error:
        text += rf"\,{{\scriptsize {escape(entry.error)}}}"
    if entry.mark == "best":
        text = rf"\textbf{{{text}}}"
    notes = rf"\rlap{{{_marks(entry.notes)}}}" if entry.notes else ""
    if sign := _sign(entry):
        return rf"{text}~\makebox[.8em]{{{sign}}}{notes}"
    return text + notes + (r"~\makebox[.8em]{}" if marked else "")


def _number(text: str) -> str:
    return f"$-${escape(text[1:])}" if text.startswith("-") else escape(text)


def _marks(notes: tuple[int, ...]) -> str:
    return f"$^{{{','.join(map(str, notes))}}}$" if notes else ""
