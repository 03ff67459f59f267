"""What installed plugins bring, as plain data, found out in other processes and kept on disk.

No plugin's code runs here: one that hangs, crashes or ends its process costs a time limit and is
named, and the others are known.
"""

import atexit
import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from vaebench._version import __version__
from vaebench.config.resources import cache_folder
from vaebench.errors import UserError, printable
from vaebench.registry.code import source
from vaebench.runs import files

#: Seconds that importing a plugin may take, unless VAEBENCH_PLUGIN_TIMEOUT says otherwise.
PATIENCE = 10.0
#: Seconds after which a plugin that failed is tried again though nothing has changed.
_FORGIVEN = 600.0
_LONGEST = 2000


@dataclass(frozen=True)
class Offer:
    """What a plugin brings, or why it cannot be loaded.

    Attributes:
        code: Its code version.
        facts: What everything is, by kind and name.
        changed: What it changes for its whole process when it is loaded.
        failure: Why it cannot be loaded, else empty.
        files: The files that loading it read, beside vaebench and Python.
    """

    code: str = ""
    facts: Mapping[str, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    failure: str = ""
    files: tuple[str, ...] = ()


def patience() -> float:
    """Seconds that importing a plugin may take; UserError where the environment has no number."""
    text = os.environ.get("VAEBENCH_PLUGIN_TIMEOUT", "")
    try:
        seconds = float(text or PATIENCE)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise UserError(f"VAEBENCH_PLUGIN_TIMEOUT is {text!r}; it takes a number of seconds.")
    return seconds


def survey(points: Mapping[str, EntryPoint]) -> dict[str, Offer]:
    """What the entry points bring, by the names that they are given with."""
    found = {name: offer for name, point in points.items() if (offer := _kept(name, point))}
    missing = {name: point for name, point in points.items() if name not in found}
    if missing:
        for name, offer in asked(missing):
            found[name] = offer
            _keep(name, missing[name], offer)
    return {name: found[name] for name in points}


def asked(points: Mapping[str, EntryPoint]) -> Iterator[tuple[str, Offer]]:
    """What a process of its own finds out about plugins."""
    request = {
        "points": [[name, point.name, point.value] for name, point in points.items()],
        "seconds": patience(),
        "path": sys.path,
        "environment": dict(os.environ),
    }
    with _LOCK:
        for name, answer in _answers(request):
            yield name, _offer(answer)


def _offer(answer: Mapping[str, Any]) -> Offer:
    """An offer of plain data that a plugin's process sent."""
    answer = printable(dict(answer), _LONGEST)
    return Offer(**{**answer, "changed": tuple(answer["changed"]), "files": tuple(answer["files"])})


_LOCK = threading.Lock()
_surveyor: "subprocess.Popen[bytes] | None" = None


def _answers(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The surveyor's answers, each name's once; it is started where it is not running."""
    global _surveyor
    waiting = [name for name, *_ in request["points"]]
    for _ in range(2):
        if _surveyor is None or _surveyor.poll() is not None:
            _surveyor = _start()
        assert _surveyor.stdin is not None and _surveyor.stdout is not None
        points = [point for point in request["points"] if point[0] in waiting]
        with suppress(OSError, ValueError, KeyError, TypeError):
            _surveyor.stdin.write(json.dumps(request | {"points": points}).encode() + b"\n")
            _surveyor.stdin.flush()
            while waiting:
                name, answer = json.loads(_surveyor.stdout.readline())
                asdict(_offer(answer))
                waiting.remove(name)
                yield name, answer
            return
        # It ended: idle for long, or killed.
        _stop()
    for name in waiting:
        yield name, asdict(Offer(failure="the process that examines it was killed"))


def _start() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "vaebench.registry.surveyor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@atexit.register
def _stop() -> None:
    global _surveyor
    if _surveyor is not None:
        with _surveyor as process:
            process.kill()
        _surveyor = None


def _forget() -> None:
    global _surveyor, _LOCK
    _surveyor, _LOCK = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _kept(name: str, point: EntryPoint) -> Offer | None:
    """What was found out before, None where that may have changed."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        found = files.read_json(_path(name, point))
        offer = _offer(found["offer"])
        age = time.time() - found["time"]
        fresh = not offer.failure or (
            0 <= age < _FORGIVEN and found["installed"] == packages_on(tuple(sys.path))
        )
        if fresh and found["identity"] == _identity(point) and found["files"] == _digests(offer):
            return offer
    return None


def _keep(name: str, point: EntryPoint, offer: Offer) -> None:
    with suppress(OSError):
        known = {
            "identity": _identity(point),
            "installed": packages_on(tuple(sys.path)),
            "time": time.time(),
            "files": _digests(offer),
            "offer": asdict(offer),
        }
        # Not `write_json`: the default of an option may be infinite.
        files.write_text(_path(name, point), json.dumps(known))


def _path(name: str, point: EntryPoint) -> Path:
    """Where what is known of a plugin is kept: one file for each place that it is installed in."""
    what = json.dumps([name, point.value, str(source(point.module)), sys.prefix])
    digest = hashlib.sha256(what.encode()).hexdigest()[:32]
    return cache_folder() / "plugins" / f"{digest}.json"


def _identity(point: EntryPoint) -> list[Any]:
    version = point.dist.version if point.dist else ""
    return [__version__, _ours(), platform.python_version(), point.value, version, patience()]


def _digests(offer: Offer) -> dict[str, str]:
    return {name: _digest(Path(name)) for name in offer.files}


@cache
def _ours() -> str:
    """A digest of the code that reads plugins and of what it reads them into."""
    folder = Path(__file__).parents[1]
    paths = [p for part in ("registry", "models", "data") for p in (folder / part).rglob("*.py")]
    return hashlib.sha256("".join(map(_digest, sorted(paths))).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def packages_on(path: tuple[str, ...]) -> str:
    """A digest of which packages are installed in which version."""
    found: list[str] = []
    for folder in path:
        with suppress(OSError):
            found += sorted(n for n in os.listdir(folder or ".") if n.endswith("-info"))
        found.append(folder)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
