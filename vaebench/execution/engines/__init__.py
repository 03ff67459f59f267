"""Where cells run: on this machine, or as tasks of a Ray cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vaebench.config.cell import Task
from vaebench.config.resources import Place

#: What the server that workers are forked from is given in its environment, and takes out of it
#: before a plugin's code starts other processes: the driver's id, and that modules are not looked
#: for in the working directory.
DRIVER = "VAEBENCH_DRIVER"
SAFE_PATH = ("PYTHONSAFEPATH", "vaebench")


@dataclass(frozen=True)
class Event:
    """News of one task: a message of its progress, or its end.

    Attributes:
        task: The task's position in the list.
        message: What it sent.
        exitcode: The exit code of its process once it has ended.
        reason: Why the engine ended it, if it did, or what was wrong with an exit code of 0.
    """

    task: int
    message: Any = None
    exitcode: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Limits:
    """What a task may use before it is ended.

    Attributes:
        seconds: Time.
        gigabytes: Memory of its process, in GiB.
    """

    seconds: float | None = None
    gigabytes: float | None = None


class Engine(Protocol):
    """Runs tasks in any order; once one has ended, its cell's folder holds a ``result.json``."""

    def run(self, tasks: Sequence[Task], place: Place, folders: Sequence[Path]) -> Iterator[Event]:
        """Yield progress, and one event with an exit code for each task."""
        ...
