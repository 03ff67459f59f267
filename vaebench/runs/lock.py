"""Who works in a run's folder: a lock against a second driver, and the owner of its settings."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaebench.config.settings import Settings, from_dict, to_dict
from vaebench.config.yaml_files import dump, read
from vaebench.errors import UserError
from vaebench.runs import files


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a second driver out of the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); choose another --out."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"Another vaebench is working in {folder}; wait for it, or choose another --out."
            ) from None
        yield


def claim(folder: Path, settings: Settings) -> None:
    """Make the folder this experiment's; UserError if it is another's."""
    if not claimed(folder, settings):
        files.write_text(folder / "config.yaml", dump(settings))


def claimed(folder: Path, settings: Settings) -> bool:
    """Whether the folder is this experiment's already; UserError if it is another's."""
    config = folder / "config.yaml"
    wanted = to_dict(settings)
    if config.exists():
        found: dict[str, Any] = {}
        try:
            found = to_dict(from_dict(read(config)[0], str(config)))
        except UserError:
            pass
        if found != wanted:
            keys = [k for k in wanted if wanted[k] != found.get(k)]
            raise UserError(
                f"{folder} holds another experiment (other {', '.join(keys)}); choose another "
                "--out, which `vaebench merge` may put together with it."
            )
        return True
    if folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; choose another --out.")
    return False


def running(folder: Path) -> set[str]:
    """The cells that a driver which is alive computes."""
    try:
        with (folder / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return set()
    except BlockingIOError:
        pass
    except OSError:
        return set()
    try:
        cells = files.read_json(folder / "running.json").get("cells")
    except UserError:
        return set()
    return {cell for cell in cells if isinstance(cell, str)} if isinstance(cells, list) else set()
