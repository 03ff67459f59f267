"""Drives a run: plans it, runs what is missing, writes tables and page. No torch."""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from vaebench.config.cell import Cell, Task
from vaebench.config.resources import Place
from vaebench.config.settings import Settings, run_name
from vaebench.errors import UserError, unknown
from vaebench.execution import preview
from vaebench.execution.engines import Engine, Limits, local
from vaebench.execution.progress import Display
from vaebench.execution.worker import Plan, plan, rehearse
from vaebench.report import Report, write
from vaebench.runs import about, files, frozen, records
from vaebench.runs.effort import lacking
from vaebench.runs.lock import Stage, claim, claimed, held
from vaebench.runs.schema import Record
from vaebench.training import loggers

ENGINES = ("local", "ray")
STRATEGIES = ("auto", "ddp")
#: Seconds between two notes of how far running cells are.
_EVERY = 5.0


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
    dry_run: bool = False
    quiet: bool = False
    as_json: bool = False
    cell_timeout: float | None = None
    cell_memory: float | None = None
    checkpoint_every: float = 60.0
    engine: str = "local"
    address: str | None = None
    gpus_per_cell: float = 0.0
    devices: int = 1
    strategy: str = "auto"
    logger: str = ""
    compiled: bool = False
    replay: bool = True
    pack: int = 1
    title: str | None = None
    note: str | None = None

    @property
    def measures_failed(self) -> bool:
        """Whether numbers that failed, or lacked weights, are tried again."""
        return self.retry_failed or self.download or self.fid_weights is not None

    def check(self) -> None:
        """Raise UserError for values that cannot work."""
        if self.jobs is not None and self.jobs < 1:
            raise UserError("--jobs must be 1 or more.")
        about.check(self.title, self.note)
        for name in ("cell_timeout", "cell_memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} must be positive.")
        if not (self.checkpoint_every >= 0 and self.gpus_per_cell >= 0):
            raise UserError("--checkpoint-every and --gpus-per-cell must not be negative.")
        if self.pack < 1:
            raise UserError("--pack must be 1 or more.")
        if self.pack > 1 and (self.jobs is not None or self.devices > 1 or self.engine != "local"):
            raise UserError(
                "--pack says how many cells share a GPU of this machine: leave out --jobs, "
                "--devices and --engine ray."
            )
        if self.engine not in ENGINES:
            raise unknown("engine", self.engine, ENGINES)
        if self.engine == "local" and (self.address or self.gpus_per_cell):
            raise UserError("--address and --gpus-per-cell need --engine ray.")
        if self.devices < 1:
            raise UserError("--devices must be 1 or more.")
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        if self.devices > 1 and (self.engine != "local" or (self.jobs or 1) > 1):
            raise UserError(
                "--devices spreads one cell over this machine: leave out --jobs and --engine ray."
            )
        if self.devices == 1 and self.strategy != "auto":
            raise UserError(f"--strategy {self.strategy} needs --devices 2 or more.")


def run(settings: Settings, where: Where) -> int:
    """Run every cell that has no result yet, then write tables and page.

    Returns:
        0 if all cells are finished, 1 if some failed.

    Raises:
        UserError: The request cannot be met, or the folder cannot be written.
    """
    screen = Console(stderr=True, quiet=where.quiet)
    place, planned = prepared(settings, where, screen)
    folder = where.out or default_folder(planned.settings)
    if where.dry_run:
        return dry_run(folder, planned, place, screen)
    with writing(folder), held(folder):
        begin(folder, settings, planned)
        carry_out(folder, planned, place, where, screen)
        made = write(folder)
    return ended(made, planned, where)


def prepared(settings: Settings, where: Where, screen: Console) -> tuple[Place, Plan]:
    """Where cells are computed, and the plan of them.

    Raises:
        UserError: The request cannot be met.
    """
    where.check()
    place = Place(
        root=(where.data_dir or Path("data")).absolute(),
        device=where.device,
        download=where.download,
        fid_weights=where.fid_weights and where.fid_weights.absolute(),
        checkpoint_every=where.checkpoint_every,
        devices=where.devices,
        loggers=loggers.named(where.logger),
        compiled=where.compiled,
        replay=where.replay,
    )
    with screen.status("Reading plugins and data"):
        planned = local.call(plan, settings, place)
    if where.pack > 1 and planned.device == "cpu":
        raise UserError("--pack is for cells that share a GPU; on a CPU --jobs shares out cores.")
    return place, planned


def dry_run(folder: Path, planned: Plan, place: Place, screen: Console) -> int:
    """Print the cells of a plan and how long they may take; 1 where some are known to fail."""
    claimed(folder, planned.settings)
    there = replace(place, device=planned.device)

    def rehearsed(tasks: list[Task]) -> list[dict[str, float] | str | None]:
        with screen.status("Timing a few steps and images of each kind of cell"):
            return local.call(rehearse, tuple(tasks), there)

    for line in preview.said(planned.notes):
        print(line)
    return 0 if preview.preview(folder, planned, rehearsed) else 1


def begin(folder: Path, settings: Settings, planned: Plan) -> None:
    """Make a folder that is held this run's, with a copy of the cell whose decoder it freezes.

    Args:
        folder: The folder.
        settings: As asked for.
        planned: The plan.

    Raises:
        UserError: The folder is another run's, or the cell cannot be read.
    """
    claim(folder, planned.settings)
    if settings.decoder_of is not None:
        frozen.keep(folder, frozen.asked(settings.decoder_of))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what keeps a run's folder from being written into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be written ({error.strerror}); finished cells are "
            "kept: fix that and run the same command again."
        ) from error


def ended(made: Report, planned: Plan, where: Where) -> int:
    """Print what was made of a run; 0 if all its cells are trained and measured, else 1."""
    _print(made, where.quiet, where.as_json)
    return _outcome(made.run.records, planned)


def default_folder(settings: Settings) -> Path:
    """Where a run is kept that was given no folder."""
    name = "-".join(settings.dataset).replace("/", "_").replace(":", "_")[:60]
    return Path("results") / f"{name}-{run_name(settings)}"


def carry_out(folder: Path, planned: Plan, place: Place, where: Where, screen: Console) -> None:
    """Run the cells of a plan that are missing into a folder that has begun."""
    about.keep(folder, where.title, where.note)
    cells = [task.cell for task in planned.tasks]
    records.adopt(folder, cells)
    records.write(folder, cells)
    todo, found = [], []
    for task in planned.tasks:
        again = where.retry_failed or task.cell.plugin in planned.broken
        if not missing(folder, task.cell, again, screen):
            found.append(records.one(folder, task.cell.id))
            if not unmeasured(found[-1], task, planned, where.measures_failed):
                continue
        todo.append(task._replace(failed=where.measures_failed))
    for line in preview.said(planned.notes):
        screen.print(line, markup=False, soft_wrap=True)
    for name in dict.fromkeys(task.cell.plugin for task in todo):
        if name in planned.broken:
            screen.print(preview.unloadable(name, planned.broken), markup=False, soft_wrap=True)
    if todo:
        if where.engine == "local":
            place = replace(place, device=planned.device)
        compute(todo, [folder / "cells" / task.cell.id for task in todo], place, where, screen)
    else:
        screen.print(_nothing_to_do(found), markup=False, soft_wrap=True)
    for reason, count in records.left_out(folder).items():
        screen.print(
            f"Left out of the tables: {count} of {folder}/cells, of {reason}; kept until you "
            "delete them.",
            markup=False,
            soft_wrap=True,
        )


def compute(
    todo: list[Task], folders: list[Path], place: Place, where: Where, screen: Console
) -> None:
    """Run tasks into their cells' folders, which are of one run, and show how far they are."""
    jobs, place = spread(place, where, len(todo))
    _run_tasks(todo, folders, place, _engine(where, jobs), screen)


def spread(place: Place, where: Where, tasks: int) -> tuple[int, Place]:
    """How many tasks run at a time, and the place with the threads of each."""
    alone = place.device != "cpu" or place.devices > 1
    jobs = min(where.jobs or (where.pack if alone else _cores()), tasks)
    return jobs, replace(place, threads=max(1, _cores() // (jobs * place.devices)))


def limits(where: Where) -> Limits:
    """What a task may use before it is ended."""
    return Limits(where.cell_timeout, where.cell_memory)


def _engine(where: Where, jobs: int) -> Engine:
    if where.engine == "local":
        return local.Local(jobs, limits(where))
    from vaebench.execution.engines.ray import Ray

    return Ray(where.address, where.gpus_per_cell, limits(where))


def missing(folder: Path, cell: Cell, retry_failed: bool, screen: Console) -> bool:
    """Whether a cell has to be computed: it has no sound result, or may be tried again."""
    path = folder / "cells" / cell.id
    if path.is_symlink() or path.parent.is_symlink():
        raise UserError(f"{path} leads out of the run; remove the link.")
    if not (path / "result.json").exists():
        return True
    record = files.sealed(path)
    if isinstance(record, str):
        screen.print(f"{cell.id}: {record}; computing the cell again", markup=False, soft_wrap=True)
        return True
    return record.get("status") != "done" and (retry_failed or record.get("transient") is True)


def unmeasured(record: Record, task: Task, planned: Plan, failed: bool) -> bool:
    """Whether a trained cell's record lacks a number that is asked for."""
    if record["status"] != "done":
        return False
    wanted = planned.wanted[task.evaluation]
    return bool(record["halted"] or lacking(record, wanted, failed=failed))


def _run_tasks(
    todo: list[Task], folders: list[Path], place: Place, engine: Engine, screen: Console
) -> None:
    run = folders[0].parents[1]
    running: dict[int, str] = {}
    stages: dict[str, Stage] = {}
    written = -math.inf
    with Display(screen, todo) as display:
        for event in engine.run(todo, place, folders):
            name = folders[event.task].name
            if event.exitcode is None:
                display.progress(event.task, *event.message)
                stage, done, total = event.message
                began = stages[name]["began"] if _goes_on(stages.get(name), stage) else time.time()
                stages[name] = {"stage": stage, "done": done, "total": total, "began": began}
                if event.task in running and time.monotonic() - written < _EVERY:
                    continue
                running[event.task] = name
            else:
                display.done(event.task, records.one(run, name))
                running.pop(event.task, None)
                stages.pop(name, None)
            written = time.monotonic()
            state = {"cells": list(running.values()), "stages": stages}
            files.write_json(run / "running.json", state)


def _goes_on(before: Stage | None, stage: str) -> bool:
    return before is not None and before["stage"] == stage


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tables(folder: Path) -> None:
    """Write tables and page of a run and show them."""
    _print(write(folder), False, False)


def _print(made: Report, quiet: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(made.run.records.values()), indent=1))
    elif quiet:
        print(made.page)
    else:
        Console().print(made.terminal)
        print(f"Report: {made.page}")
    sys.stdout.flush()


def _nothing_to_do(found: list[Record]) -> str:
    failed = sum(record["status"] != "done" for record in found)
    if failed:
        return f"{failed} of {len(found)} cells failed before; --retry-failed runs them again."
    return f"All {len(found)} cells are finished; to compute one again, delete its folder."


def _outcome(found: Mapping[str, Record], planned: Plan) -> int:
    """0 if all cells are trained and measured, else 1."""
    mine = [(found.get(task.cell.id), task) for task in planned.tasks]
    whole = all(
        record is not None
        and record["status"] == "done"
        and not unmeasured(record, task, planned, False)
        for record, task in mine
    )
    return 0 if whole else 1
