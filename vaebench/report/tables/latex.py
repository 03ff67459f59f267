"""Sheets as LaTeX tables that need nothing but booktabs and graphicx."""

import re
from collections.abc import Iterator
from dataclasses import replace

from vaebench.report.columns import Column
from vaebench.report.footnotes import footnoted
from vaebench.report.rows import Entry, Row
from vaebench.report.sheet import Sheet
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
_SUBSCRIPT = re.compile("[₀-₉]+")
#: A table of more columns of numbers is scaled to the width of the line.
_NARROW = 4
_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def latex(sheets: list[Sheet]) -> str:
    """The tables for a paper: ``\\input{table.tex}`` with the packages booktabs and graphicx.

    Labels are ``tab:vaebench``, then ``tab:vaebench-2`` and so on; the verdicts are comments.
    """
    head = "% Written by vaebench. Needs \\usepackage{booktabs} and \\usepackage{graphicx}.\n"
    blocks = [replace(sheet, blocks=[block]) for sheet in sheets for block in sheet.blocks]
    labels = ["tab:vaebench", *(f"tab:vaebench-{i}" for i in range(2, len(blocks) + 1))]
    return head + "\n".join(
        "\n".join(_table(sheet, label)) + "\n" for sheet, label in zip(blocks, labels, strict=False)
    )


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; characters that it has no glyph for are left out."""
    parts = re.split(f"({_SUBSCRIPT.pattern})", " ".join(str(text).split()))
    return "".join(
        f"$_{{{part.translate(_DIGITS)}}}$"
        if _SUBSCRIPT.fullmatch(part)
        else "".join(_SPECIAL.get(c) or _UNKNOWN.sub("", c) for c in part)
        for part in parts
    )


def _table(sheet: Sheet, label: str) -> Iterator[str]:
    """The lines of the table of a sheet's only block."""
    sheet, notes = footnoted(sheet, [column for column in sheet.columns if column.key])
    (block,) = sheet.blocks
    columns = [column for column in sheet.columns if column.key]
    title = ", ".join(filter(None, (sheet.dataset, sheet.title(block))))
    yield from (f"% {escape(sentence)}" for sentence in summary(sheet, block))
    yield r"\begin{table}"
    yield r"\centering\small"
    text = f"{title}. {caption(block, columns, 'in bold')} n counts the finished seeds."
    yield rf"\caption{{{escape(text)}}}"
    yield rf"\label{{{label}}}"
    wide = len(columns) > _NARROW
    if wide:
        yield r"\resizebox{\linewidth}{!}{%"
    yield rf"\begin{{tabular}}{{l{'r' * len(columns)}r}}"
    yield r"\toprule"
    yield _line(["variant", *(_head(column) for column in columns), "n"])
    yield _line(["", *(escape(column.suffix) for column in columns), ""])
    yield r"\midrule"
    for row in block.rows:
        cells = _cells(row, columns)
        yield _line([escape(row.label) + _marks(row.notes), *cells, str(row.seeds)])
    if any(column.name in block.references for column in columns):
        texts = (_number(block.references.get(column.name, "")) for column in columns)
        yield r"\midrule"
        yield _line(["real images", *texts, ""])
    yield r"\bottomrule"
    yield r"\end{tabular}" + ("}" if wide else "")
    if notes:
        yield r"\par\smallskip\footnotesize\raggedright"
        yield r" \\ ".join(f"$^{{{i}}}$ {escape(note)}" for i, note in enumerate(notes, 1))
    yield r"\end{table}"


def _line(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _head(column: Column) -> str:
    return escape(f"{column.head} {column.arrow}".strip()) + _marks(column.notes)


def _cells(row: Row, columns: list[Column]) -> list[str]:
    if not row.entries:
        return [rf"\multicolumn{{{len(columns)}}}{{l}}{{{row.state}}}"]
    return [_entry(row.entries[column.name]) for column in columns]


def _entry(entry: Entry) -> str:
    text = _number(entry.text)
    if entry.error:
        text += f" {escape(entry.error)}"
    text = {
        "best": rf"\textbf{{{text}}}",
        "tied": f"{text}~=",
        "wide": f"{text}~?",
        "model": rf"{text}~$\diamond$",
    }.get(entry.mark, text)
    return text + _marks(entry.notes)


def _number(text: str) -> str:
    return f"$-${escape(text[1:])}" if text.startswith("-") else escape(text)


def _marks(notes: tuple[int, ...]) -> str:
    return f"$^{{{','.join(map(str, notes))}}}$" if notes else ""
