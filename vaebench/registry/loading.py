"""Loads a plugin into this process, and leaves the process as it was."""

import traceback
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

from vaebench.compute.shared_state import kept
from vaebench.errors import UserError
from vaebench.registry.contents import Contents, read


@dataclass(frozen=True)
class Loaded:
    """A plugin in this process.

    Attributes:
        contents: What it brings.
        changed: What it changed for the whole process while it was loaded; all is put back.
    """

    contents: Contents
    changed: tuple[str, ...]


def load(name: str, point: EntryPoint) -> Loaded:
    """Import a plugin and read what it brings.

    Raises:
        UserError: It fails in any way, an attempt to end the process included; the text goes on
            from the plugin's name.
    """
    try:
        with kept() as changed:
            contents = read(name, point.load())
    # A stranger's module may fail in any way, SystemExit included.
    except BaseException as error:
        raise UserError(reason(error)) from error
    return Loaded(contents, tuple(changed))


def reason(error: BaseException) -> str:
    """What was raised, with file and line where it rises from other code than ours."""
    try:
        said = str(error)
    except Exception:
        said = "its text cannot be had"
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = isinstance(error, UserError | SyntaxError) or last.filename.startswith("<")
    place = "" if ours else f" ({Path(last.filename).name}, line {last.lineno})"
    return f"{type(error).__name__}: {said}{place}"
