"""Cells as tasks of a Ray cluster; their files travel back, so no disk need be shared."""

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vaebench.config.cell import Cell
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution.engines import Event, Limits, local
from vaebench.runs.files import clear, failure, write_bytes, write_result

#: How often a cell is started again when its worker or node dies.
RETRIES = 3


def compute(cell: Cell, place: Place, limits: Limits) -> dict[str, bytes]:
    """Run a cell in a process of its own on this node; its files by their names."""
    with TemporaryDirectory(prefix="vaebench-") as folder:
        for _ in local.Local(1, limits).run([cell], place, [Path(folder)]):
            pass
        made = {str(path.relative_to(folder)): path for path in Path(folder).rglob("[!.]*")}
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

    def run(self, cells: Sequence[Cell], place: Place, folders: Sequence[Path]) -> Iterator[Event]:
        """Run cells; one whose node dies is started again elsewhere.

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
                ray, cells, replace(place, threads=1, root=place.root.resolve()), folders
            )
        finally:
            ray.shutdown()

    def _run(
        self, ray: Any, cells: Sequence[Cell], place: Place, folders: Sequence[Path]
    ) -> Iterator[Event]:
        remote = ray.remote(compute).options(
            num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )
        tasks = {remote.remote(cell, place, self.limits): i for i, cell in enumerate(cells)}
        while tasks:
            ended, _ = ray.wait(list(tasks))
            for reference in ended:
                task = tasks.pop(reference)
                try:
                    _receive(ray.get(reference), folders[task])
                    exitcode = 0
                except ray.exceptions.RayError as error:
                    reason = f"Ray lost it: {' '.join(str(error).split())[:300]}"
                    write_result(folders[task], failure(cells[task], reason))
                    exitcode = 1
                yield Event(task, exitcode=exitcode)


def _receive(files: dict[str, bytes], folder: Path) -> None:
    """Write what came back, the result last, so that it stands for complete files."""
    clear(folder)
    for name in sorted(files, key=lambda name: name == "result.json"):
        path = (folder / name).resolve()
        if path.is_relative_to(folder.resolve()):
            write_bytes(path, files[name])
