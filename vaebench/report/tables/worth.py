"""What tuning was worth, as Markdown and in the terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from vaebench.report.comparison.tuned import Line, Tuned
from vaebench.report.tables.text import escape

_STYLE = {"better": "bold green", "worse": "red"}


def _heads(found: Tuned) -> list[str]:
    gains = (f"{column.head} {column.arrow}, tuned less default" for column in found.columns)
    return ["variant", "chosen settings", "validation: default", "chosen", *gains]


def _texts(line: Line) -> list[str]:
    return [line.variant, line.chosen, *line.criterion]


def markdown(found: Tuned | None) -> str:
    """A section for the end of ``table.md``; empty without a tuning."""
    if found is None:
        return ""
    heads = _heads(found)
    aligned = ["---", "---", *["---:"] * (len(heads) - 2)]
    rows = [
        [escape(text) for text in _texts(line)]
        + [_marked(*line.worth[column.name]) for column in found.columns]
        for line in found.lines
    ]
    lines = [f"| {' | '.join(row)} |" for row in ([escape(h) for h in heads], aligned, *rows)]
    said = [escape(text) for text in (*found.orders, *found.left_out, found.about)]
    return "\n\n".join(["", "## What tuning was worth", "\n".join(lines), *said]) + "\n"


def _marked(text: str, outcome: str) -> str:
    return f"**{escape(text)}**" if outcome else escape(text)


def terminal(found: Tuned | None) -> Iterator[RenderableType]:
    """A table and its sentences; nothing without a tuning."""
    if found is None:
        return
    table = Table(
        box=box.SIMPLE_HEAD, title=Text("What tuning was worth"), title_justify="left",
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for head in _heads(found):
        table.add_column(Text(head), justify="left" if len(table.columns) < 2 else "right")
    for line in found.lines:
        gains = [line.worth[column.name] for column in found.columns]
        table.add_row(
            *map(Text, _texts(line)),
            *(Text(text, style=_STYLE.get(outcome, "")) for text, outcome in gains),
        )
    yield table
    yield from map(Text, (*found.orders, *found.left_out))
    yield Text(found.about, style="dim")
