"""The texts that a block's variants write, kind by kind, each variant's beside the others'.

Items with pictures beside their texts have both.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vaebench.errors import UserError, printable
from vaebench.report.page.embed import Picture, strip
from vaebench.report.rows import Row
from vaebench.runs import files

#: Bytes of a cell's texts, lines of each kind that a page shows, and letters of a text.
_LARGEST, _LINES, _LONGEST = 2**18, 12, 160
#: Samplers that a page shows samples of.
_SAMPLERS = 4
_EXPLAINED = {
    "samples": "Drawn token by token, of codes from the prior. The same seeds for every variant.",
    "reconstructions": "Test sequences, and below each what is most probable, token by token, "
    "given the mean of its code. The same ones for every variant.",
    "drawn": "Each line is an item, all parts of it from one code: expected pictures, and what is "
    "most probable, token by token. The same seeds for every variant.",
    "items": "Test items, and below each what is generated of it: from a draw of q given the whole "
    "item, and given each part alone. The same ones for every variant.",
    "interpolations": "Each block leads from the code of one test sequence to that of another, in "
    "equal steps; what is most probable, token by token.",
}

#: Kinds whose lines are items.
_TITLES = {"drawn": "Drawn items", "items": "Test items"}


class Line(NamedTuple):
    """A text, and the picture before it where there is one."""

    text: str
    picture: Picture | None = None


class Texts(NamedTuple):
    """One kind of texts; an entry is a row and its groups of lines."""

    title: str
    text: str
    entries: list[tuple[Row, list[list[Line]]]]


def texts(run: str, rows: list[Row], budget: int = 0) -> list[Texts]:
    """The kinds that any row has texts of; a row takes those of its first cell that has some.

    Args:
        run: The run's folder.
        rows: The rows of a block.
        budget: Bytes that the pictures of one row may take.
    """
    found = {row.label: _first(run, row) for row in rows if row.entries}
    names = dict.fromkeys(name for _, kinds in found.values() for name in kinds)
    shown = []
    for name in sorted(names, key=lambda each: (*_EXPLAINED,).index(each.partition("@")[0])):
        kind, _, sampler = name.partition("@")
        entries = []
        for row in rows:
            cell, kinds = found.get(row.label, ("", {}))
            if kinds.get(name):
                entries.append((row, _lines(run, cell, name, kinds[name], budget // len(kinds))))
        title = f"{_TITLES.get(kind, kind.capitalize())}{f' under {sampler}' if sampler else ''}"
        if entries:
            shown.append(Texts(title, _EXPLAINED[kind], entries))
    return shown


def _lines(
    run: str, cell: str, name: str, groups: list[list[str]], budget: int
) -> list[list[Line]]:
    """Groups of texts, each with its picture if the cell has as many."""
    if name.partition("@")[0] not in _TITLES:
        return [[Line(text) for text in group] for group in groups]
    pictures = strip(run, cell, f"items-{name}.png", sum(map(len, groups)), budget)
    each = iter(pictures)
    return [[Line(text, next(each, None)) for text in group] for group in groups]


def _first(run: str, row: Row) -> tuple[str, dict[str, list[list[str]]]]:
    for cell in row.cells:
        path = files.file(run, f"cells/{cell}/texts.json", _LARGEST)
        if path is not None and (kinds := dict(_kinds(path))):
            return cell, kinds
    return "", {}


def _kinds(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """What a file of texts, which anyone may have written, holds of what is shown."""
    try:
        content = files.read_json(path)
    except UserError:
        return
    samplers = 0
    for name, groups in content.items():
        kind, at, _ = name.partition("@")
        samplers += bool(at)
        if kind not in _EXPLAINED or samplers > _SAMPLERS or not isinstance(groups, list):
            continue
        kept = [
            [printable(line, _LONGEST) for line in group[:_LINES] if isinstance(line, str)]
            for group in groups[:_LINES]
            if isinstance(group, list)
        ]
        yield printable(name, 60), [group for group in kept if group]
