"""Cells as processes on this machine, forked from a server that has the heavy imports loaded.

The driver itself never loads torch: it stays small, and no plugin's code runs in it.
"""

import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vaebench.config.cell import Task
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution.engines import Event, Limits
from vaebench.execution.worker import work
from vaebench.runs import files

_CONTEXT = get_context("forkserver")


_CONTEXT.set_forkserver_preload(["vaebench.execution.engines.preload"])


class WorkerError(Exception):
    """A function failed in a worker in a way that is not a UserError; the text is its traceback."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value, computed in a process of its own.

    Raises:
        UserError: The function raised one.
        WorkerError: It failed in another way, or its process ended.
    """
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        kind, value = mine.recv()
    except EOFError:
        process.join()
        raise WorkerError(f"a worker ended with exit code {process.exitcode}") from None
    process.join()
    if kind == "error":
        raise UserError(value)
    if kind == "crash":
        raise WorkerError(value)
    return value


def _answer(connection: Connection, function: Callable[..., Any], arguments: Any) -> None:
    _follow_driver()
    try:
        connection.send(("value", function(*arguments)))
    except UserError as error:
        connection.send(("error", str(error)))
    except BaseException:
        import traceback

        connection.send(("crash", traceback.format_exc()))


@dataclass
class _Running:
    task: int
    process: Any
    connection: Connection
    deadline: float

    @property
    def handles(self) -> tuple[Any, ...]:
        """What becomes ready when there is news; a process that forked may leave its pipe open."""
        mine = () if self.connection.closed else (self.connection,)
        return *mine, self.process.sentinel


def run(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    logs: Sequence[Path],
    jobs: int,
    limits: Limits = Limits(),  # noqa: B008
) -> Iterator[Event]:
    """Call `function(*task, report)` for every task, `jobs` at a time, each in its own process.

    Args:
        function: Its last argument takes up progress messages.
        tasks: The other arguments.
        logs: Files that take up what each process prints.
        jobs: How many run at once.
        limits: What each process may use.

    Yields:
        Progress messages as they come, and one event with an exit code for each task.
    """
    waiting = list(range(len(tasks)))[::-1]
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop()
                running.append(_start(function, tasks[task], task, logs[task], limits))
            first = min(one.deadline for one in running)
            ready = wait(
                [handle for one in running for handle in one.handles],
                None if first == math.inf else max(0.0, first - time.monotonic()),
            )
            for one in list(running):
                late = time.monotonic() > one.deadline
                if late:
                    one.process.kill()
                    one.process.join()
                elif not any(handle in ready for handle in one.handles):
                    continue
                yield from _messages(one)
                if not one.process.is_alive():
                    one.process.join()
                    one.connection.close()
                    running.remove(one)
                    reason = f"it took longer than {limits.seconds:g} s" if late else ""
                    yield Event(one.task, exitcode=one.process.exitcode, reason=reason)
    finally:
        for one in running:
            one.process.kill()
        for one in running:
            one.process.join()


def _start(
    function: Callable[..., Any], arguments: tuple[Any, ...], task: int, log: Path, limits: Limits
) -> _Running:
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_work, args=(theirs, log, limits.gigabytes, function, arguments), daemon=True
    )
    process.start()
    theirs.close()
    deadline = math.inf if limits.seconds is None else time.monotonic() + limits.seconds
    return _Running(task, process, mine, deadline)


def _messages(one: _Running) -> Iterator[Event]:
    try:
        while not one.connection.closed and one.connection.poll():
            yield Event(one.task, one.connection.recv())
    except (EOFError, OSError):
        one.connection.close()


@dataclass(frozen=True)
class Local:
    """Cells as processes of this machine.

    Attributes:
        jobs: How many run at once.
        limits: What each may use.
    """

    jobs: int
    limits: Limits = field(default_factory=Limits)

    def run(self, tasks: Sequence[Task], place: Place, folders: Sequence[Path]) -> Iterator[Event]:
        """Run tasks; a process that dies leaves the reason in the cell's record."""
        calls = [(task, place, folder) for task, folder in zip(tasks, folders, strict=True)]
        logs = [folder / "log.txt" for folder in folders]
        for folder, log in zip(folders, logs, strict=True):
            if not files.trained(folder):
                log.unlink(missing_ok=True)
        for event in run(work, calls, logs, self.jobs, self.limits):
            if event.exitcode:
                reason = event.reason or _death(event.exitcode)
                said = files.last_lines(logs[event.task])
                reason = f"{reason}; its log ends: {said}" if said else reason
                files.broken_off(folders[event.task], tasks[event.task].cell, reason)
            yield event


def _death(exitcode: int) -> str:
    why = " (killed, perhaps for want of memory)" if exitcode == -signal.SIGKILL else ""
    return f"its process ended with exit code {exitcode}{why}"


def _work(
    connection: Connection,
    log: Path,
    gigabytes: float | None,
    function: Callable[..., Any],
    task: tuple[Any, ...],
) -> None:
    _follow_driver()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as file:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _limit_memory(gigabytes)
    function(*task, connection.send)


def _limit_memory(gigabytes: float | None) -> None:
    """Be the first to go when memory runs out, and have no more than was granted."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if gigabytes is not None:
        size = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _follow_driver() -> None:
    """End this process when the driver does, and leave Ctrl-C to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = parent_process()

    def watch() -> None:
        if driver is not None:
            wait([driver.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
