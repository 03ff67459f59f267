"""What people say of a run: a title and a note, kept in its folder."""

from pathlib import Path
from typing import NamedTuple

from vaebench.errors import UserError, printable
from vaebench.runs import files

_NAME = "about.json"
_LARGEST = 2**16
_TITLE, _NOTE = 200, 5000


class About(NamedTuple):
    """A title and a note, each empty where there is none; a stranger's text."""

    title: str = ""
    note: str = ""


def read(run: Path | str) -> About:
    """What is said of a run; nothing where its file is missing or damaged."""
    path = files.file(run, _NAME, _LARGEST)
    try:
        found = files.read_json(path) if path else {}
    except UserError:
        return About()
    return About(_text(found.get("title"), _TITLE), _text(found.get("note"), _NOTE))


def keep(run: Path | str, title: str | None, note: str | None, out: Path | None = None) -> About:
    """What is said of a run from now on, kept in its folder or in that of a report.

    Args:
        run: The run's folder.
        title: The new title; None leaves the old one, an empty one removes it.
        note: The new note, in the same way.
        out: The folder to keep it in; by default the run's.

    Raises:
        UserError: A text is too long.
        OSError: The file cannot be written.
    """
    check(title, note)
    about = read(run)
    if title is None and note is None:
        return about
    about = About(
        about.title if title is None else _text(title.strip(), _TITLE),
        about.note if note is None else _text(note.strip(), _NOTE),
    )
    files.write_json((out or Path(run)) / _NAME, about._asdict())
    return about


def check(title: str | None, note: str | None) -> None:
    """Raise UserError for texts that are too long to be kept."""
    for name, text, longest in (("title", title, _TITLE), ("note", note, _NOTE)):
        if text and len(text) > longest:
            raise UserError(f"--{name} has {len(text)} characters; shorten it to {longest}.")


def _text(value: object, longest: int) -> str:
    return str(printable(value, longest)) if isinstance(value, str) else ""
