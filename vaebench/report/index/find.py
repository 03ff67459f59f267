"""The runs below a folder. Nothing is followed out of it."""

import os
from pathlib import Path

from vaebench.errors import UserError

#: Levels below the folder, and folders in all, that are looked into.
DEEPEST, MOST = 8, 100_000


def find(folder: Path) -> list[Path]:
    """The folders that hold a folder ``cells``, sorted; links are not followed.

    Raises:
        UserError: There is no such folder, it holds no run, or too many folders.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name one that holds runs.")
    found, seen = [], 0
    for here, names, _ in os.walk(folder):
        path = Path(here)
        seen += len(names)
        if seen > MOST:
            raise UserError(f"{folder} holds more than {MOST} folders; name one that holds less.")
        if "cells" in names and not (path / "cells").is_symlink():
            found.append(path)
            names.clear()
        elif len(path.relative_to(folder).parts) >= DEEPEST:
            names.clear()
        names[:] = sorted(name for name in names if not name.startswith("."))
    if not found:
        raise UserError(f"{folder} holds no run; name a folder above some, such as results.")
    return sorted(found)
