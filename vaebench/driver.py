"""Drives a run: plans it, runs what is missing, shows progress, writes tables and page. No torch."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vaebench import store
from vaebench.config import Cell, Settings, digest, to_dict
from vaebench.engines import local
from vaebench.errors import UserError
from vaebench.worker import Place, plan, work


@dataclass(frozen=True)
class Where:
    """Where a run is kept and computed; nothing here is a part of what is compared."""

    out: Path | None = None
    data_dir: Path | None = None
    download: bool = False
    fid_weights: Path | None = None
    device: str = "auto"
    jobs: int | None = None
    retry_failed: bool = False


def run(settings: Settings, where: Where) -> int:
    """Run every cell that has no result yet, then write tables and page.

    Returns:
        0 if all cells are finished, 1 if some failed.

    Raises:
        UserError: The request cannot be met; nothing has been trained.
    """
    screen = Console(stderr=True)
    if where.jobs is not None and where.jobs < 1:
        raise UserError("--jobs must be 1 or more.")
    place = Place(
        root=where.data_dir or Path("data"),
        device=where.device,
        download=where.download,
        fid_weights=where.fid_weights,
    )
    with screen.status("Reading plugins and data"):
        planned = local.call(plan, settings, place)
    wanted = to_dict(planned.settings)
    name = "-".join(planned.settings.dataset).replace("/", "_").replace(":", "_")[:60]
    folder = where.out or Path("results") / f"{name}-{digest(wanted)}"
    with _held(folder):
        _claim(folder, wanted)
        todo = [cell for cell in planned.cells if _missing(folder, cell, where.retry_failed)]
        if todo:
            place = replace(place, device=planned.device)
            _run_cells(todo, folder, place, where.jobs, screen)
        return _finish(folder, planned.cells)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep a second driver out of the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); choose another --out."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"Another vaebench is working in {folder}; wait for it, or choose another --out."
            ) from None
        yield


def _claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Make the folder this experiment's; UserError if it is another's."""
    config = folder / "config.yaml"
    if config.exists():
        try:
            found = yaml.safe_load(config.read_text("utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            found = None
        if found != wanted:
            found = found if isinstance(found, dict) else {}
            keys = [k for k in {**wanted, **found} if wanted.get(k) != found.get(k)]
            raise UserError(
                f"{folder} holds another experiment (other {', '.join(map(str, keys))}); choose "
                "another --out, or delete the folder."
            )
    elif any(path.name != ".lock" for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; choose another --out.")
    else:
        store.write_text(config, yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True))


def _missing(folder: Path, cell: Cell, retry_failed: bool) -> bool:
    path = folder / "cells" / cell.id / "result.json"
    try:
        status = store.read_json(path).get("status")
    except UserError:
        return True
    return status != "done" and (retry_failed or status != "failed")


def _run_cells(
    todo: list[Cell], folder: Path, place: Place, jobs: int | None, screen: Console
) -> None:
    cores = _cores()
    jobs = min(jobs or (cores if place.device == "cpu" else 1), len(todo))
    place = replace(place, threads=max(1, cores // jobs))
    folders = [folder / "cells" / cell.id for cell in todo]
    tasks = [(cell, place, where) for cell, where in zip(todo, folders, strict=True)]
    logs = [where / "log.txt" for where in folders]
    with _Display(screen, todo) as display:
        for event in local.run(work, tasks, logs, jobs):
            if event.exitcode is None:
                display.progress(event.task, *event.message)
                continue
            result = folders[event.task] / "result.json"
            if event.exitcode != 0:
                reason = _last_words(event.exitcode, logs[event.task])
                store.write_json(result, store.failure(todo[event.task], reason))
            display.done(event.task, store.read_json(result))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _last_words(exitcode: int, log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    why = " (killed, perhaps for want of memory)" if exitcode == -9 else ""
    return ": ".join([f"its process ended with exit code {exitcode}{why}", *lines[-1:]])


class _Display:
    """A bar for the run and one for each running cell; in a log, a line for each finished cell."""

    def __init__(self, screen: Console, cells: list[Cell]) -> None:
        self.screen = screen
        self.cells = cells
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[stage]}"),
            TimeElapsedColumn(),
            console=screen,
            transient=True,
            disable=not screen.is_terminal,
        )
        self.whole = self.bars.add_task("cells", total=len(cells), stage="")
        self.running: dict[int, TaskID] = {}

    def __enter__(self) -> "_Display":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def progress(self, task: int, stage: str, done: int, total: int) -> None:
        if task not in self.running:
            cell = self.cells[task]
            text = f"{cell.plugin} on {cell.dataset}, seed {cell.seed}".replace("[", r"\[")
            self.running[task] = self.bars.add_task(text, total=total, stage=stage)
        self.bars.update(self.running[task], completed=done, total=total, stage=stage)

    def done(self, task: int, record: dict[str, Any]) -> None:
        if task in self.running:
            self.bars.remove_task(self.running[task])
        self.bars.advance(self.whole)
        seconds = record.get("timings", {}).get("total")
        text = f"{record['status']:6} {record['cell']}"
        text += f"  {seconds:.0f} s" if seconds is not None else ""
        text += f"  {record['reason']}" if record.get("reason") else ""
        self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _finish(folder: Path, cells: tuple[Cell, ...]) -> int:
    from vaebench import report, results

    results.write(folder)
    page = report.write(folder)
    out = Console()
    out.print(results.terminal(folder))
    print(f"Report: {page}")
    sys.stdout.flush()
    statuses = [
        store.read_json(folder / "cells" / cell.id / "result.json").get("status") for cell in cells
    ]
    return 0 if all(status == "done" for status in statuses) else 1
