"""The files of a run: atomic writes, checksums, and reads that trust nothing they find."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from vaebench.config.cell import Cell
from vaebench.errors import UserError, printable
from vaebench.runs import schema
from vaebench.runs.schema import Record

#: The largest file that is read back, in bytes.
LARGEST = 64 * 2**20
#: How lines of a log begin that vaebench itself writes.
OURS = "[vaebench] "
#: Files of a cell that its result says nothing about.
UNSEALED = ("result.json", "log.txt", "checkpoint")
#: What `write_bytes` calls a file until it is whole.
_PART = ".*.part"


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        # Named after the file, not after its part.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def own(path: Path) -> bool:
    """Whether a file in a run's folder is a lock, or left by a write that was killed."""
    return path.name.startswith(".lock") or path.match(_PART)


def sweep(folder: Path) -> None:
    """Remove what writes that were killed have left, in a run and in its cells."""
    for path in [*folder.glob(_PART), *folder.glob(f"cells/*/{_PART}")]:
        path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; half a surrogate pair becomes a question mark."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write standard JSON atomically; numbers that are not finite become null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: The file is missing, not regular, too large, truncated or not a JSON object.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG((about := path.stat()).st_mode):
            raise UserError(f"{path} is not a regular file; remove it and run the cell again.")
        if about.st_size > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST >> 20} MiB; remove it and run again.")
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}; run the cell again.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is truncated or no JSON; remove it and run the cell again."
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object; remove it and run the cell again.")
    return value


def failure(cell: Cell, reason: str | None) -> Record:
    """The record of a cell that has not finished, or not yet."""
    record = schema.blank(cell.id, "failed", reason)
    record["schema"] = schema.SCHEMA
    record["config"] = {k: v for k, v in cell.record().items() if k not in ("data", "code")}
    return record


def write_result(folder: Path, record: Record) -> Record:
    """Write a cell's ``result.json`` with checksums of itself and of the files beside it.

    Returns:
        The record as a reader will find it.
    """
    raw = _open(record)
    raw["files"] = {
        path.name: _sha256(path)
        for path in sorted(folder.glob("[!.]*"))
        if path.is_file() and path.name not in UNSEALED
    }
    return _write_result(folder, raw)


def _write_result(folder: Path, raw: dict[str, Any]) -> Record:
    text = json.dumps(_finite(raw), allow_nan=False).encode("utf-8", "replace")
    raw = json.loads(text)
    raw["checksum"] = checksum(raw)
    write_json(folder / "result.json", raw)
    return cast(Record, raw)


def amend(folder: Path, record: Mapping[str, Any], changed: Mapping[str, bytes]) -> Record:
    """Replace the result of a finished cell, and some of the files beside it.

    Whenever this is broken off, the cell is sound: until the new result is there, the old one
    vouches for both contents of a file.

    Args:
        folder: The cell's folder.
        record: The new result; it vouches for the files that the old one vouches for.
        changed: Contents by name.

    Returns:
        The record as a reader will find it.
    """
    before = read_json(folder / "result.json")
    vouched = found if isinstance(found := before.get("files"), dict) else {}
    new = {name: hashlib.sha256(content).hexdigest() for name, content in changed.items()}
    both = {name: sorted({*_digests(vouched[name]), new[name]}) for name in new if name in vouched}
    if any(digests != [new[name]] for name, digests in both.items()):
        _write_result(folder, {**_open(before), "files": vouched | both})
    for name, content in changed.items():
        write_bytes(folder / name, content)
    return _write_result(folder, {**_open(record), "files": vouched | new})


def _open(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without its checksum."""
    return {key: value for key, value in record.items() if key != "checksum"}


def _digests(vouched: Any) -> list[str]:
    """The contents that a result allows a file."""
    return vouched if isinstance(vouched, list) else [vouched]


def trained(folder: Path) -> bool:
    """Whether a cell's folder holds the result of a training that succeeded, and all its files."""
    try:
        done = read_json(folder / "result.json").get("status") == "done"
    except UserError:
        return False
    return done and flaw(folder) is None


def broken_off(folder: Path, cell: Cell, reason: str, transient: bool = False) -> Record:
    """Write that a cell's process ended before its time: a failure, unless it was trained.

    Args:
        folder: The cell's folder.
        cell: The cell.
        reason: How it ended.
        transient: Whether it may end in another way the next time.
    """
    if not trained(folder):
        record = failure(cell, reason)
        record["transient"] = transient
        return write_result(folder, record)
    return amend(folder, {**read_json(folder / "result.json"), "halted": reason}, {})


def differing(
    folder: Path, record: Mapping[str, Any], wanted: Callable[[str], bool] = bool
) -> Iterator[tuple[str, str]]:
    """The files that are not as a cell's record vouches, each with ``missing`` or ``altered``.

    Args:
        folder: The cell's folder.
        record: The content of its ``result.json``; one of an older version may vouch for nothing.
        wanted: Which of the names to look at.
    """
    vouched = record.get("files")
    for name, digest in vouched.items() if isinstance(vouched, dict) else ():
        if not wanted(name):
            continue
        path = os.path.join(folder, name)
        if os.path.basename(name) != name or name in ("", ".", "..") or not _regular(path):
            yield name, "missing"
        elif _sha256(path) not in _digests(digest):
            yield name, "altered"


def _regular(path: str) -> bool:
    """Whether this is a file, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def flaw(folder: Path) -> str | None:
    """What is wrong with a cell's files, None where result and files are as they were written."""
    found = sealed(folder)
    return found if isinstance(found, str) else None


def sealed(folder: Path) -> dict[str, Any] | str:
    """The content of a cell's result; a sentence where it or a file is not as it was written."""
    try:
        record = read_json(folder / "result.json")
    except UserError as error:
        return str(error)
    if record.get("checksum") != checksum(record) or not isinstance(record.get("files"), dict):
        return "result.json was altered"
    words = {"missing": "is missing", "altered": "was altered"}
    found = (f"{name} {words[how]}" for name, how in differing(folder, record))
    return str(printable(wrong)) if (wrong := next(found, None)) else record


def altered(folder: Path, record: Mapping[str, Any]) -> str | None:
    """The first file beside a result that was altered, None where there is none.

    Weights are left out, whose check is made when they are loaded.
    """
    found = differing(folder, record, lambda name: not str(name).endswith(".safetensors"))
    return next((name for name, how in found if how == "altered"), None)


def checksum(record: Mapping[str, Any]) -> str:
    """What a result's own checksum has to be."""
    rest = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path | str) -> str:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def last_lines(log: Path, count: int = 3) -> str:
    """The last lines of a log in one line, each shortened; empty where there are none.

    What vaebench itself says of the data is no reason of a failure, and left out.
    """
    try:
        if not log.is_file():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [
        line.strip()[:200]
        for line in text.splitlines()
        if line.strip() and not line.startswith(OURS)
    ]
    return printable(" | ".join(lines[-count:]))


def tail(run: Path | str, cell: str, lines: int = 20) -> str:
    """The end of what a failed cell left behind: its traceback, or else its log."""
    for name in ("error.txt", "log.txt"):
        path = file(run, f"cells/{cell}/{name}")
        text = path.read_text("utf-8", "replace").strip() if path else ""
        if text:
            return "\n".join(printable(line) for line in text.split("\n")[-lines:])
    return ""


def clear(folder: Path) -> None:
    """Remove what an earlier attempt left in a cell's folder, but not its checkpoint."""
    for path in folder.glob("*"):
        if path.name not in UNSEALED and not path.is_dir():
            path.unlink()


def file(run: Path | str, name: str, largest: int = LARGEST) -> Path | None:
    """The path of a regular file of a run, None where it is missing, too large or elsewhere."""
    if (found := _within(os.fspath(run), name)) is not None:
        return Path(run, name) if stat.S_ISREG(found[0]) and found[1] <= largest else None
    root = Path(run).resolve()
    try:
        real = (root / name).resolve(strict=True)
        if real.is_relative_to(root) and real.is_file() and real.stat().st_size <= largest:
            return real
    except (OSError, RuntimeError, ValueError):
        pass
    return None


def _within(run: str, name: str) -> tuple[int, int] | None:
    """Mode and size of what is in a run, 0 of nothing; None where there is a link on the way."""
    path = run
    try:
        for part in name.split("/"):
            path = f"{path}/{part}"
            about = os.lstat(path)
            if part in ("", ".", "..") or stat.S_ISLNK(about.st_mode):
                return None
    except FileNotFoundError:
        return 0, 0
    except (OSError, ValueError):
        return None
    return about.st_mode, about.st_size
