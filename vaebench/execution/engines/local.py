"""Cells as processes on this machine, forked from a server that has the heavy imports loaded.

The driver itself never loads torch: it stays small, and no plugin's code runs in it.
"""

import math
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from vaebench.config.cell import Cell, Task
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution.engines import DRIVER, SAFE_PATH, Event, Limits
from vaebench.execution.engines.guardian import guard
from vaebench.execution.worker import work
from vaebench.runs import files

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["vaebench.execution.engines.preload"])
#: How often a process is started whose server is killed meanwhile.
_STARTS = 3
#: Exit codes of a process that was killed, and of one whose server was.
_KILLED = (-signal.SIGKILL, 255)
_UNFINISHED = "its process ended without a result"
#: Seconds that processes have to end what they started, before they are killed.
_PATIENCE = 1.5


class WorkerError(Exception):
    """A function failed in a worker in a way that is not a UserError; the text is its traceback."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's value, computed in a process of its own.

    Raises:
        UserError: The function raised one, or its process ended without an answer.
        WorkerError: It failed in another way.
    """
    for _ in range(_STARTS):
        process, connection = _start(_answer, function, arguments)
        try:
            kind, value = connection.recv()
        except EOFError:
            process.join()
            if process.exitcode in _KILLED:
                continue
            raise UserError(f"A worker gave no answer: {_death(process.exitcode)}.") from None
        finally:
            _end([process])
        if kind == "error":
            raise UserError(value)
        if kind == "crash":
            raise WorkerError(value)
        return value
    raise UserError(f"A worker gave no answer: {_death(process.exitcode)}.")


def _answer(connection: Connection, function: Callable[..., Any], arguments: Any) -> None:
    def answer() -> None:
        try:
            connection.send(("value", function(*arguments)))
        except UserError as error:
            connection.send(("error", str(error)))
        except BaseException:
            connection.send(("crash", traceback.format_exc()))

    guard(answer)


def _start(target: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    """A process that has started, and the end of the pipe whose other end it is given."""
    for _ in range(_STARTS):
        serve()
        mine, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=target, args=(theirs, *arguments), daemon=True)
        try:
            process.start()
        except (OSError, EOFError):
            # The server was killed; the next one is started.
            mine.close()
            continue
        finally:
            theirs.close()
        return process, mine
    raise UserError("The process that workers are forked from is killed again and again.")


def serve() -> None:
    """Start the server that workers are forked from, where it does not run.

    It leaves the terminal's signals to the driver, and does not look for modules in the working
    directory.
    """
    name, value = SAFE_PATH
    before = os.environ.get(name)
    os.environ |= {name: before or value, DRIVER: str(os.getpid())}
    # Started first, since that unblocks signals.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        ensure_running()
    finally:
        del os.environ[DRIVER]
        if before is None:
            del os.environ[name]
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end(processes: Sequence[Any]) -> None:
    """End processes and whatever they have started."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + _PATIENCE
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()
        process.join()


@dataclass
class _Running:
    task: int
    process: Any
    connection: Connection
    deadline: float
    finished: bool = False

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
    tries: int = 1,
) -> Iterator[Event]:
    """Call `function(*task, report)` for every task, `jobs` at a time, each in its own process.

    Args:
        function: Its last argument takes up progress messages.
        tasks: The other arguments.
        logs: Files that take up what each process prints.
        jobs: How many run at once.
        limits: What each process may use.
        tries: How often a task is started whose process somebody else kills.

    Yields:
        Progress messages as they come, and one event with an exit code for each task.

    Raises:
        OSError: A log cannot be written.
    """
    waiting = list(range(len(tasks)))[::-1]
    left = [tries] * len(tasks)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop()
                left[task] -= 1
                logs[task].parent.mkdir(parents=True, exist_ok=True)
                logs[task].open("ab").close()
                process, connection = _start(_work, logs[task], limits, function, tasks[task])
                seconds = math.inf if limits.seconds is None else limits.seconds
                running.append(_Running(task, process, connection, time.monotonic() + seconds))
            first = min(one.deadline for one in running)
            ready = wait(
                [handle for one in running for handle in one.handles],
                None if first == math.inf else max(0.0, first - time.monotonic()),
            )
            for one in list(running):
                late = time.monotonic() > one.deadline
                if late:
                    _end([one.process])
                elif not any(handle in ready for handle in one.handles):
                    continue
                yield from _messages(one)
                if one.process.is_alive():
                    continue
                one.process.join()
                yield from _messages(one)
                one.connection.close()
                running.remove(one)
                if one.process.exitcode in _KILLED and not late and left[one.task]:
                    waiting.append(one.task)
                    continue
                reason = "" if one.finished or one.process.exitcode else _UNFINISHED
                if late:
                    reason = f"it took longer than {limits.seconds:g} s"
                yield Event(one.task, exitcode=one.process.exitcode, reason=reason)
    finally:
        _end([one.process for one in running])


def _messages(one: _Running) -> Iterator[Event]:
    try:
        while not one.connection.closed and one.connection.poll():
            if (message := one.connection.recv()) is not None:
                yield Event(one.task, message)
            else:
                one.finished = True
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
        """Run tasks; one whose process does not come to its end has the reason in its record.

        A process that somebody else kills is started once more.
        """
        folders = [folder.absolute() for folder in folders]
        for folder in folders:
            if not files.trained(folder):
                for name in ("result.json", "log.txt"):
                    (folder / name).unlink(missing_ok=True)
        calls = [(task, place, folder) for task, folder in zip(tasks, folders, strict=True)]
        logs = [folder / "log.txt" for folder in folders]
        for event in run(work, calls, logs, self.jobs, self.limits, tries=2):
            if event.exitcode is not None:
                _settle(tasks[event.task].cell, folders[event.task], event)
            yield event


def _settle(cell: Cell, folder: Path, event: Event) -> None:
    """Leave a record of a cell whose process has ended; of a failure it tells how its log ends."""
    said = files.last_lines(folder / "log.txt")
    ending = f"; its log ends: {said}" if said else ""
    try:
        record: Any = files.read_json(folder / "result.json")
    except UserError:
        record = None
    if event.exitcode or event.reason or record is None:
        killed = event.exitcode in _KILLED and not event.reason
        reason = event.reason or _death(event.exitcode)
        files.broken_off(folder, cell, reason + ending, transient=killed)
    elif record.get("status") != "done" and said:
        record["reason"] = f"{record.get('reason')}{ending}"
        files.write_result(folder, record)


def _death(exitcode: int | None) -> str:
    if exitcode == 0:
        return _UNFINISHED
    why = {
        -signal.SIGKILL: " (killed, perhaps for want of memory)",
        255: " (the process that it was forked from was killed)",
    }
    return f"its process ended with exit code {exitcode}{why.get(exitcode or 0, '')}"


def _work(
    connection: Connection,
    log: Path,
    limits: Limits,
    function: Callable[..., Any],
    task: tuple[Any, ...],
) -> None:
    def work() -> None:
        _limit_memory(limits.gigabytes)
        function(*task, connection.send)
        # After the last message, since a plugin may end the process with the exit code 0.
        connection.send(None)

    guard(work, log)


def _limit_memory(gigabytes: float | None) -> None:
    """Be the first to go when memory runs out, and have no more than was granted."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if gigabytes is not None:
        size = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
