"""Sheets as Markdown and in the terminal."""

import re
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from vaebench.report.columns import Column
from vaebench.report.footnotes import footnoted
from vaebench.report.rows import Entry, Row
from vaebench.report.sheet import Block, Sheet
from vaebench.report.summary import caption, summary

#: What stands behind a number: the best, one that cannot be told from it, a model that is ahead.
_SIGNS = {"best": " ★", "tied": " =", "wide": " ?", "model": " ◇"}


def markdown(sheets: list[Sheet]) -> str:
    """The tables in GitHub's Markdown; texts from outside stay texts."""
    return "\n\n".join(_section(sheet) for sheet in sheets) + "\n"


def _section(sheet: Sheet) -> str:
    sheet, notes = footnoted(sheet, [column for column in sheet.columns if column.key])
    columns = [column for column in sheet.columns if column.key]
    parts = [f"## {escape(sheet.dataset)}"]
    for block in sheet.blocks:
        if sheet.varying:
            parts.append(f"### {escape(sheet.title(block))}")
        parts.append("\n".join(_rows(block, columns)))
        parts.extend(escape(sentence) for sentence in summary(sheet, block))
        parts.append(escape(caption(block, columns, "in bold")))
    parts.append("\n".join(f"{i}. {escape(note)}" for i, note in enumerate(notes, 1)))
    return "\n\n".join(part for part in parts if part)


def _rows(block: Block, columns: list[Column]) -> Iterator[str]:
    heads = [escape(f"{c.head} {c.arrow}".strip()) + _unit(c) + _marks(c.notes) for c in columns]
    tuned = block.tuned
    yield f"| variant |{' settings |' * tuned} {' | '.join(heads)} | n |"
    yield f"|---|{'---|' * tuned}{'---:|' * len(columns)}---:|"
    for row in block.rows:
        label = escape(row.label) + _marks(row.notes)
        if row.entries:
            texts = [_entry(row.entries[c.name]) for c in columns]
        else:
            texts = [row.state, *[""] * (len(columns) - 1)]
        if tuned:
            label += f" | {row.tuning}"
        yield f"| {label} | {' | '.join(texts)} | {row.seeds} |"
    if any(column.name in block.references for column in columns):
        texts = [escape(block.references.get(column.name, "")) for column in columns]
        yield f"| *real images* |{'  |' * tuned} {' | '.join(texts)} |  |"


def _entry(entry: Entry) -> str:
    text = escape(f"{entry.text} {entry.error}".strip())
    text = f"**{text}**" if entry.mark == "best" else text + _SIGNS.get(entry.mark, "")
    return text + _marks(entry.notes)


def _marks(notes: tuple[int, ...]) -> str:
    return f" <sup>{', '.join(map(str, notes))}</sup>" if notes else ""


def _unit(column: Column) -> str:
    return f"<br>{escape(column.suffix)}" if column.suffix else ""


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*{}\[\]<>|#~&]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(str(text).split()))


class Terminal:
    """The tables of a run for rich, leaving out columns where the terminal is narrow.

    Args:
        sheets: The tables.
        more: What is shown below them.
    """

    def __init__(self, sheets: list[Sheet], more: Iterable[RenderableType] = ()) -> None:
        self.sheets = sheets
        self.more = list(more)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield table, summary and footnotes of each block."""
        for sheet in self.sheets:
            shown = _fitting(sheet, console, options)
            sheet, notes = footnoted(sheet, shown)
            columns = [c for c in sheet.columns if c.name in {column.name for column in shown}]
            for block in sheet.blocks:
                yield _table(sheet, block, columns)
                if left := sum(column.key for column in sheet.columns) - len(columns):
                    noun = "column" if left == 1 else "columns"
                    yield Text(f"{left} more {noun} in table.md\n", style="dim")
                for sentence in summary(sheet, block):
                    yield Text(sentence)
                if block.seeds:
                    yield Text(caption(block, columns, "marked ★"), style="dim")
            for number, note in enumerate(notes, 1):
                yield Text(f"{number:>2} {note}", style="dim")
        yield from self.more


def _fitting(sheet: Sheet, console: Console, options: ConsoleOptions) -> list[Column]:
    """The key columns, or as many of them as there is room for."""
    columns = [column for column in sheet.columns if column.key]
    wide = options.update(max_width=1000)
    for least in sorted({column.keep for column in columns}):
        columns = [column for column in columns if column.keep >= least]
        tables = (_table(sheet, block, columns) for block in sheet.blocks)
        if all(console.measure(t, options=wide).maximum <= options.max_width for t in tables):
            break
    return columns


def _table(sheet: Sheet, block: Block, columns: list[Column]) -> Table:
    title = " · ".join(filter(None, (sheet.dataset, sheet.title(block))))
    table = Table(
        box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", padding=(0, 1, 0, 0)
    )
    table.add_column("variant", no_wrap=True)
    if block.tuned:
        table.add_column("settings", no_wrap=True)
    for c in columns:
        features = f"({c.features})" if c.features else ""
        unit = c.suffix.removesuffix("/image") or features
        head = f"{c.short} {c.arrow}".rstrip() + _small(c.notes) + f"\n{unit}"
        table.add_column(Text(head.rstrip()), justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    for row in block.rows:
        table.add_row(*_texts(row, columns))
    if any(column.name in block.references for column in columns):
        table.add_row(
            Text("real images"),
            *[""] * block.tuned,
            *(Text(block.references.get(c.name, "")) for c in columns),
            "",
            style="italic",
        )
    return table


def _texts(row: Row, columns: list[Column]) -> Iterator[Text]:
    label = Text(row.label)
    label.truncate(24, overflow="ellipsis")
    yield label.append(_small(row.notes), style="dim")
    if row.tuning:
        yield Text(row.tuning)
    if not row.entries:
        style = "bold red" if row.failed else "dim"
        yield from (Text(row.state, style=style), *[Text()] * (len(columns) - 1))
    for column in columns if row.entries else ():
        entry = row.entries[column.name]
        style = {"best": "bold green", "tied": "green"}.get(entry.mark, "")
        shown = entry.text
        if entry.error and column.error:
            shown += f" {entry.error}"
        text = Text(shown + _SIGNS.get(entry.mark, ""), style=style)
        yield text.append(_small(entry.notes), style="dim")
    yield Text(str(row.seeds))


def _small(notes: tuple[int, ...]) -> str:
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return " ".join(str(note).translate(raised) for note in notes)
