"""Who works in a run's folder: a lock against a second driver, and the owner of its settings."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from vaebench.config.cell import MEASURED, SETTINGS
from vaebench.config.declaration import Setting
from vaebench.config.names import leads_to
from vaebench.config.settings import Settings, from_dict
from vaebench.config.yaml_files import dump, read
from vaebench.errors import UserError
from vaebench.runs import files
from vaebench.runs.effort import joined
from vaebench.runs.schema import fits

#: Seconds to wait for whoever only looks whether the lock is free.
_PATIENCE = 1.0
#: What a file system answers that cannot lock a file.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def held(folder: Path, otherwise: str = "wait for it, or choose another --out") -> Iterator[None]:
    """Keep a second driver out of the folder.

    Raises:
        UserError: There is one, with what to do; or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquired(folder / ".lock", _PATIENCE)
    except Timeout:
        raise UserError(f"Another vaebench is working in {folder}; {otherwise}.") from None
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); choose another --out."
        ) from error
    try:
        files.sweep(folder)
        yield
    finally:
        lock.release()


def _acquired(path: Path, timeout: float) -> BaseFileLock:
    """The lock of a file; where the file system knows no locks, one that a file's existence is."""
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.owner"))
        lock.acquire(timeout=timeout)
    return lock


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have others that ask for the same file wait; OSError where it cannot be written."""
    lock = _acquired(path, -1)
    try:
        yield
    finally:
        lock.release()


def claim(folder: Path, settings: Settings) -> None:
    """Make the folder this experiment's, and note what is to be measured beside what was before.

    Raises:
        UserError: The folder is another experiment's.
    """
    before = claimed(folder, settings)
    if before is not None:
        asked = ({name: getattr(one, name) for name in MEASURED} for one in (before, settings))
        settings = replace(settings, **joined(*asked))
    if settings != before:
        files.write_text(folder / "config.yaml", dump(settings))


def claimed(folder: Path, settings: Settings) -> Settings | None:
    """The settings of the folder, where it is this experiment's already, or a part of it.

    Trainings make an experiment: what is measured may differ. It grows by variants, seeds and other
    values of an axis that are asked for beside all of its own.

    Raises:
        UserError: The folder is another experiment's.
    """
    config = folder / "config.yaml"
    if config.exists():
        found: Settings | None = None
        with suppress(UserError):
            given = read(config)[0] if config.is_file() else {}
            found = _located(from_dict(given, str(config)), settings) if given else None
        counted = [s for s in SETTINGS if s.name not in MEASURED]
        if other := [s.asked for s in counted if found is None or not _kept(s, found, settings)]:
            raise UserError(
                f"{folder} holds another experiment (other {', '.join(other)}); ask for all that "
                "it holds and more, or choose another --out, which `vaebench merge` may put "
                "together with it."
            )
        return found
    if folder.is_dir() and any(not files.own(path) for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and does not hold a run; choose another --out.")
    return None


def _kept(setting: Setting, found: Settings, wanted: Settings) -> bool:
    """Whether all that a run has of a setting is wanted too; of an axis there may be more."""
    before, now = getattr(found, setting.asked), getattr(wanted, setting.asked)
    return set(before) <= set(now) if setting.axis else bool(before == now)


def _located(found: Settings, wanted: Settings) -> Settings:
    """The settings with absolute paths of data sets, where those that are wanted have them."""
    places = [
        next((place for place in wanted.dataset if leads_to(name, place)), name)
        for name in found.dataset
    ]
    return replace(found, dataset=tuple(places))


class Stage(TypedDict):
    """How far a cell is: the stage, steps done of how many, and when it began, seconds of Unix."""

    stage: str
    done: int
    total: int
    began: float


def running(folder: Path) -> set[str]:
    """The cells that a driver which is alive computes."""
    cells = _state(folder).get("cells")
    return {cell for cell in cells if isinstance(cell, str)} if isinstance(cells, list) else set()


def stages(folder: Path) -> dict[str, Stage]:
    """How far they are, where that is known."""
    found = _state(folder).get("stages")
    if not isinstance(found, dict):
        return {}
    return {name: files.printable(one) for name, one in found.items() if fits(one, Stage)}


def _state(folder: Path) -> dict[str, Any]:
    """What a driver that is alive has noted last; empty where there is none."""
    if not (folder / ".lock").exists():
        return {}
    try:
        _acquired(folder / ".lock", 0).release()
        return {}
    except Timeout:
        pass
    except OSError:
        return {}
    try:
        return files.read_json(folder / "running.json")
    except UserError:
        return {}
