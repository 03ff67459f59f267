"""The texts that a block's variants write, kind by kind, each variant's beside the others'."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vaebench.errors import UserError, printable
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
    "interpolations": "Each block leads from the code of one test sequence to that of another, in "
    "equal steps; what is most probable, token by token.",
}


class Texts(NamedTuple):
    """One kind of texts; an entry is a row and its groups of lines."""

    title: str
    text: str
    entries: list[tuple[Row, list[list[str]]]]


def texts(run: str, rows: list[Row]) -> list[Texts]:
    """The kinds that any row has texts of; a row takes those of its first cell that has some."""
    found = {row.label: _first(run, row) for row in rows if row.entries}
    names = dict.fromkeys(name for kinds in found.values() for name in kinds)
    shown = []
    for name in sorted(names, key=lambda each: (*_EXPLAINED,).index(each.partition("@")[0])):
        kind, _, sampler = name.partition("@")
        entries = [
            (row, found[row.label][name])
            for row in rows
            if name in found.get(row.label, {}) and found[row.label][name]
        ]
        title = f"{kind.capitalize()} under {sampler}" if sampler else kind.capitalize()
        if entries:
            shown.append(Texts(title, _EXPLAINED[kind], entries))
    return shown


def _first(run: str, row: Row) -> dict[str, list[list[str]]]:
    for cell in row.cells:
        path = files.file(run, f"cells/{cell}/texts.json", _LARGEST)
        if path is not None and (kinds := dict(_kinds(path))):
            return kinds
    return {}


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
