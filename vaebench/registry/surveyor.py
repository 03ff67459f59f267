"""Examines plugins, each in a process of its own, as lines of standard input say.

A request is a line of JSON: the entry points, the time limit, the path of imports and the
environment. An answer is a line of JSON for each entry point: its name and its offer.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import torch

from vaebench.compute.processes import adopt_orphans, end_children, end_with_parent
from vaebench.errors import UserError
from vaebench.hookspecs import GROUP
from vaebench.registry.code import source
from vaebench.registry.loading import load
from vaebench.registry.survey import Offer

#: Seconds after which nobody is expected to ask again.
IDLE = 60.0
_LARGEST = 4 * 2**20
#: Folders whose files do not change but with a version: Python's and torch's.
_ROOTS = tuple(os.path.dirname(os.path.abspath(str(m.__file__))) + os.sep for m in (os, torch))


def main() -> None:
    """Answer requests until there are none."""
    adopt_orphans()
    while select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        request = json.loads(line)
        for name, offer in examine(**request):
            print(json.dumps([name, asdict(offer)]), flush=True)
    end_children()


@dataclass
class _Examined:
    name: str
    point: EntryPoint
    process: int
    pipe: int
    deadline: float
    answer: bytes = b""


def examine(
    points: list[list[str]], seconds: float, path: list[str], environment: dict[str, str]
) -> Iterator[tuple[str, Offer]]:
    """Yield the offers of entry points as they become known."""
    at_once = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    waiting = [(key, EntryPoint(name, value, GROUP)) for key, name, value in points][::-1]
    running: list[_Examined] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(_begin(*waiting.pop(), seconds, path, environment))
        first = min(one.deadline for one in running)
        pipes = [one.pipe for one in running]
        # Whoever asked may end meanwhile, which closes standard input.
        ready, _, _ = select.select(pipes, [], [], max(0.0, min(1.0, first - time.monotonic())))
        if os.getppid() != _PARENT:
            end_children()
            os._exit(1)
        for one in list(running):
            late = time.monotonic() > one.deadline
            part = os.read(one.pipe, 2**16) if one.pipe in ready else None
            one.answer += part or b""
            whole = one.answer.endswith(b"\n") or len(one.answer) > _LARGEST
            if whole or part == b"" or late:
                running.remove(one)
                yield one.name, _end(one, seconds, late and not whole and part != b"")


_PARENT = os.getppid()
#: The exit code of a process that cannot answer, since a plugin has closed its files.
_CLOSED = 113


def _begin(
    name: str, point: EntryPoint, seconds: float, path: list[str], environment: dict[str, str]
) -> _Examined:
    theirs, mine = os.pipe()
    me = os.getpid()
    process = os.fork()
    if process:
        os.close(mine)
        return _Examined(name, point, process, theirs, time.monotonic() + seconds)
    os.setsid()
    end_with_parent(me)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    code = 1
    try:
        answer = json.dumps(asdict(_examined(name, point))).encode() + b"\n"
        while answer:
            answer = answer[os.write(mine, answer) :]
        code = 0
    except OSError:
        code = _CLOSED
    finally:
        os._exit(code)


def _examined(name: str, point: EntryPoint) -> Offer:
    before = set(sys.modules)
    try:
        found = load(name, point)
    except UserError as error:
        return Offer(failure=str(error), files=_files(before, point))
    return Offer(
        found.contents.code, found.contents.facts(), found.changed, "", _files(before, point)
    )


def _files(before: set[str], point: EntryPoint) -> tuple[str, ...]:
    """The plugin's file and those of the modules that it loaded, but for Python's and torch's."""
    modules = [sys.modules.get(name) for name in set(sys.modules) - before]
    paths = [getattr(module, "__file__", None) for module in modules]
    named = {os.path.abspath(path) for path in paths if isinstance(path, str)}
    own = {str(path)} if (path := source(point.module)) else set()
    return tuple(
        sorted(
            path
            for path in own | named
            if not path.startswith(_ROOTS[1:])
            and ("-packages" in path or not path.startswith(_ROOTS[0]))
            and Path(path).is_file()
        )
    )


def _end(one: _Examined, seconds: float, late: bool) -> Offer:
    """End a plugin's process and whatever it started; what it answered, or how it ended."""
    os.close(one.pipe)
    status = None
    if not late and not one.answer.endswith(b"\n"):
        status = _status(one.process)
    with suppress(OSError):
        os.killpg(one.process, signal.SIGKILL)
    if status is None:
        with suppress(OSError):
            os.waitpid(one.process, 0)
    with suppress(ValueError, TypeError, KeyError):
        return Offer(**json.loads(one.answer))
    own = source(one.point.module)
    return Offer(failure=_why(status, seconds, late), files=(str(own),) if own else ())


def _status(process: int) -> int | None:
    """How a process that has closed its pipe ended; None where it goes on."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    return None


def _why(status: int | None, seconds: float, late: bool) -> str:
    if late:
        return (
            f"it takes longer than {seconds:g} s to import; VAEBENCH_PLUGIN_TIMEOUT allows more "
            "seconds"
        )
    if status is None or os.waitstatus_to_exitcode(status) == _CLOSED:
        return "importing it closes the files of the process that does"
    if os.WIFSIGNALED(status):
        return f"importing it crashes the process ({signal.Signals(os.WTERMSIG(status)).name})"
    return f"importing it ends the process (exit code {os.waitstatus_to_exitcode(status)})"


if __name__ == "__main__":
    main()
