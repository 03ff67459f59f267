"""Cells as tasks of a Ray cluster; their files travel back, so no disk need be shared."""

import json
import logging
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vaebench.config.cell import Task
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution.engines import Event, Limits, local
from vaebench.runs import files
from vaebench.runs.frozen import carried

#: How often a cell is started again when its worker or node dies.
RETRIES = 3


def compute(
    task: Task,
    place: Place,
    limits: Limits,
    there: dict[str, bytes],
    beside: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Run a task in a process of its own on this node; the cell's files by their names.

    Args:
        task: The task.
        place: Where its data are.
        limits: What it may use.
        there: The files of the cell, where it has been trained.
        beside: Files of the run that training needs, by their paths in it.
    """
    with TemporaryDirectory(prefix="vaebench-") as run:
        folder = Path(run) / "cells" / task.cell.id
        for name, content in there.items():
            files.write_bytes(folder / name, content)
        for name, content in (beside or {}).items():
            files.write_bytes(Path(run) / name, content)
        for _ in local.Local(1, limits).run([task], place, [folder]):
            pass
        return _content(folder)


def _content(folder: Path) -> dict[str, bytes]:
    made = {str(path.relative_to(folder)): path for path in folder.rglob("[!.]*")}
    return {
        name: path.read_bytes()
        for name, path in made.items()
        if path.is_file() and name != "checkpoint"
    }


@dataclass(frozen=True)
class Ray:
    """Runs cells on a Ray cluster.

    Attributes:
        address: The cluster's, as `ray.init` takes it; None starts one on this machine.
        gpus: The share of a GPU that each cell has.
        limits: What each cell may use.
    """

    address: str | None = None
    gpus: float = 0.0
    limits: Limits = field(default_factory=Limits)

    def run(self, tasks: Sequence[Task], place: Place, folders: Sequence[Path]) -> Iterator[Event]:
        """Run tasks; one whose node dies is started again elsewhere.

        Raises:
            UserError: Ray is not installed, or the cluster cannot be reached.
        """
        try:
            import ray
        except ImportError:
            raise UserError(
                "--engine ray needs Ray: pip install 'vaebench[ray]', or leave it out."
            ) from None
        try:
            if match := re.fullmatch(r"([\w.-]+):(\d+)", self.address or ""):
                # Ray itself tries for minutes.
                socket.create_connection((match[1], int(match[2])), 10).close()
            ray.init(self.address, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError, OverflowError) as error:
            raise UserError(
                f"--address {self.address} leads to no Ray cluster ({error}); see `ray status`."
            ) from error
        try:
            yield from self._run(
                ray, tasks, replace(place, threads=1, root=place.root.resolve()), folders
            )
        finally:
            ray.shutdown()

    def _run(
        self, ray: Any, asked: Sequence[Task], place: Place, folders: Sequence[Path]
    ) -> Iterator[Event]:
        remote = ray.remote(compute).options(
            num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )
        there = [_content(folder) if files.trained(folder) else {} for folder in folders]
        beside = [
            carried(folder.parents[1], task.cell.decoder_of)
            for task, folder in zip(asked, folders, strict=True)
        ]
        tasks = {
            remote.remote(task, place, self.limits, there[i], beside[i]): i
            for i, task in enumerate(asked)
        }
        while tasks:
            ended, _ = ray.wait(list(tasks))
            for reference in ended:
                task = tasks.pop(reference)
                try:
                    _receive(ray.get(reference), folders[task])
                    exitcode = 0
                except ray.exceptions.RayError as error:
                    reason = f"Ray lost it: {' '.join(str(error).split())[:300]}"
                    files.broken_off(folders[task], asked[task].cell, reason)
                    exitcode = 1
                yield Event(task, exitcode=exitcode)


def _receive(made: dict[str, bytes], folder: Path) -> None:
    """Write what came back, the result last, so that it stands for complete files."""
    inside = {
        name: content
        for name, content in made.items()
        if (folder / name).resolve().is_relative_to(folder.resolve())
    }
    if files.trained(folder):
        result = json.loads(inside.pop("result.json"))
        vouched = {name: inside.pop(name) for name in result["files"] if name in inside}
        files.amend(folder, result, vouched)
        for name, content in inside.items():
            files.write_bytes(folder / name, content)
        return
    files.clear(folder)
    for name in sorted(inside, key=lambda name: name == "result.json"):
        files.write_bytes(folder / name, inside[name])
