"""The page of an index: a row for each run, the newest first."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from vaebench._version import __version__
from vaebench.errors import printable
from vaebench.report.index.entry import Entry, entry
from vaebench.report.index.find import find
from vaebench.report.template import ASSETS, template
from vaebench.runs import files


def entries(
    folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Entry]:
    """The runs below a folder, the newest first.

    Args:
        folder: Where they are.
        progress: Told how many have been read, and of how many.

    Raises:
        UserError: There is none.
    """
    runs, found = find(folder), []
    for number, run in enumerate(runs):
        progress(number, len(runs))
        found.append(entry(folder, run))
    return sorted(found, key=lambda each: (each.last, each.path), reverse=True)


def write(folder: Path, found: Sequence[Entry], path: Path) -> None:
    """Write the page of runs, with links to theirs that are relative where `path` allows it."""
    files.write_text(path, render(folder, found, path))


def render(folder: Path, found: Sequence[Entry], path: Path) -> str:
    """The page of runs of a folder as HTML that stands at `path`."""
    inside = path.resolve().parent == folder.resolve()
    base = "" if inside else f"{folder.resolve().as_uri()}/"
    script = (ASSETS / "index.js").read_text("utf-8")
    return template("index.html").render(
        name=printable(folder.resolve().name),
        rows=[(each, f"{base}{quote(each.path)}/report.html") for each in found],
        facts=_facts(found),
        version=__version__,
        style=Markup("\n").join(map(_markup, ("style.css", "index.css"))),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _markup(name: str) -> Markup:
    return Markup((ASSETS / name).read_text("utf-8"))


def _facts(found: Sequence[Entry]) -> list[str]:
    cells, done = sum(each.cells for each in found), sum(each.done for each in found)
    facts = [
        f"{len(found)} run{'' if len(found) == 1 else 's'}",
        f"{done} of {cells} cells finished",
    ]
    lost = sum(bool(each.lost) for each in found)
    return [*facts, f"{lost} unfinished or damaged"] if lost else facts
