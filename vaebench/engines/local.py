"""Cells as processes on this machine, forked from a server that has the heavy imports loaded.

The driver itself never loads torch: it stays small, and no plugin's code runs in it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vaebench.errors import UserError

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["vaebench.engines.preload"])


class WorkerError(Exception):
    """A function failed in a worker in a way that is no UserError; the text is its traceback."""


@dataclass(frozen=True)
class Event:
    """News of one task: a progress message, or its end with the exit code of its process."""

    task: int
    message: Any = None
    exitcode: int | None = None


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


def run(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], logs: Sequence[Path], jobs: int
) -> Iterator[Event]:
    """Call `function(*task, report)` for every task, `jobs` at a time, each in its own process.

    Args:
        function: Its last argument takes up progress messages.
        tasks: The other arguments.
        logs: Files that take up what each process prints.
        jobs: How many run at once.

    Yields:
        Progress messages as they come, and one event with an exit code for each task.
    """
    waiting = list(range(len(tasks)))[::-1]
    running: dict[Any, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop()
                mine, theirs = _CONTEXT.Pipe(duplex=False)
                process = _CONTEXT.Process(
                    target=_work, args=(theirs, logs[task], function, tasks[task]), daemon=True
                )
                process.start()
                theirs.close()
                running[mine] = task, process
            for connection in wait(list(running)):
                task, process = running[connection]
                try:
                    yield Event(task, connection.recv())  # type: ignore[union-attr]
                except EOFError:
                    process.join()
                    del running[connection]
                    yield Event(task, exitcode=process.exitcode)
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _work(
    connection: Connection, log: Path, function: Callable[..., Any], task: tuple[Any, ...]
) -> None:
    _follow_driver()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb", buffering=0) as file:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*task, connection.send)


def _follow_driver() -> None:
    """End this process when the driver does, and leave Ctrl-C to the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = parent_process()

    def watch() -> None:
        if driver is not None:
            wait([driver.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
