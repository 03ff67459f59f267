"""Drives a run: plans it, runs what is missing, writes tables and page. No torch."""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from vaebench import roster, status, store, trackers
from vaebench.config import Cell, Settings, digest, from_dict, to_dict
from vaebench.display import Display
from vaebench.engines import Engine, Limits, local
from vaebench.errors import UserError, unknown
from vaebench.place import Place
from vaebench.worker import Plan, plan, rehearse

ENGINES = ("local", "ray")
STRATEGIES = ("auto", "ddp")


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

    def check(self) -> None:
        """Raise UserError for values that cannot work."""
        if self.jobs is not None and self.jobs < 1:
            raise UserError("--jobs must be 1 or more.")
        for name in ("cell_timeout", "cell_memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} must be positive.")
        if not (self.checkpoint_every >= 0 and self.gpus_per_cell >= 0):
            raise UserError("--checkpoint-every and --gpus-per-cell must not be negative.")
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Console(stderr=True, quiet=where.quiet)
    where.check()
    place = Place(
        root=where.data_dir or Path("data"),
        device=where.device,
        download=where.download,
        fid_weights=where.fid_weights,
        checkpoint_every=where.checkpoint_every,
        devices=where.devices,
        loggers=trackers.named(where.logger),
    )
    with screen.status("Reading plugins and data"):
        planned = local.call(plan, settings, place)
    folder = where.out or _default_folder(planned.settings)
    if where.dry_run:
        claimed(folder, planned.settings)
        there = replace(place, device=planned.device)

        def rehearsed(cells: list[Cell]) -> list[float | str | None]:
            with screen.status("Timing a few steps of each kind of cell"):
                return local.call(rehearse, tuple(cells), there)

        status.preview(folder, planned.cells, rehearsed, planned.broken)
        return 0
    try:
        with _held(folder):
            return _run(folder, planned, place, where, screen)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be written ({error.strerror}); finished cells are "
            "kept: mend it and run the same command again."
        ) from error


def _default_folder(settings: Settings) -> Path:
    name = "-".join(settings.dataset).replace("/", "_").replace(":", "_")[:60]
    return Path("results") / f"{name}-{digest(to_dict(settings))}"


def _run(folder: Path, planned: Plan, place: Place, where: Where, screen: Console) -> int:
    claim(folder, planned.settings)
    roster.write(folder, planned.cells)
    todo = [
        cell
        for cell in planned.cells
        if _missing(folder, cell, where.retry_failed or cell.plugin in planned.broken, screen)
    ]
    for name in dict.fromkeys(cell.plugin for cell in todo if cell.plugin in planned.broken):
        screen.print(status.unloadable(name, planned.broken), markup=False, soft_wrap=True)
    if todo:
        if where.engine == "local":
            place = replace(place, device=planned.device)
        alone = place.device != "cpu" or place.devices > 1
        jobs = min(where.jobs or (1 if alone else _cores()), len(todo))
        place = replace(place, threads=max(1, _cores() // (jobs * place.devices)))
        _run_cells(todo, folder, place, _engine(where, jobs), screen)
    else:
        screen.print(_nothing_to_do(folder, planned.cells), markup=False, soft_wrap=True)
    if count := roster.left_out(folder):
        screen.print(
            f"Left out of the tables: {count} of {folder}/cells, of other code than is installed "
            "now; kept until you delete them.",
            markup=False,
            soft_wrap=True,
        )
    tables(folder, where.quiet, where.as_json)
    return _outcome(folder, planned.cells)


def _engine(where: Where, jobs: int) -> Engine:
    limits = Limits(where.cell_timeout, where.cell_memory)
    if where.engine == "local":
        return local.Local(jobs, limits)
    from vaebench.engines.ray import Ray

    return Ray(where.address, where.gpus_per_cell, limits)


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


def claim(folder: Path, settings: Settings) -> None:
    """Make the folder this experiment's; UserError if it is another's."""
    if not claimed(folder, settings):
        text = yaml.safe_dump(to_dict(settings), sort_keys=False, allow_unicode=True)
        store.write_text(folder / "config.yaml", text)


def claimed(folder: Path, settings: Settings) -> bool:
    """Whether the folder is this experiment's already; UserError if it is another's."""
    config = folder / "config.yaml"
    wanted = to_dict(settings)
    if config.exists():
        found: dict[str, Any] = {}
        try:
            found = to_dict(from_dict(yaml.safe_load(config.read_text("utf-8")), str(config)))
        except (OSError, yaml.YAMLError, UnicodeDecodeError, UserError):
            pass
        if found != wanted:
            keys = [k for k in wanted if wanted[k] != found.get(k)]
            raise UserError(
                f"{folder} holds another experiment (other {', '.join(keys)}); choose another "
                "--out, which `vaebench merge` may put together with it."
            )
        return True
    if folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; choose another --out.")
    return False


def _missing(folder: Path, cell: Cell, retry_failed: bool, screen: Console) -> bool:
    path = folder / "cells" / cell.id
    if path.is_symlink() or path.parent.is_symlink():
        raise UserError(f"{path} leads out of the run; remove the link.")
    if not (path / "result.json").exists():
        return True
    if flaw := store.flaw(path):
        screen.print(f"{cell.id}: {flaw}; computing the cell again", markup=False, soft_wrap=True)
        return True
    state = store.read_json(path / "result.json").get("status")
    return state != "done" and retry_failed


def _run_cells(
    todo: list[Cell], folder: Path, place: Place, engine: Engine, screen: Console
) -> None:
    folders = [folder / "cells" / cell.id for cell in todo]
    running: dict[int, str] = {}
    with Display(screen, todo) as display:
        for event in engine.run(todo, place, folders):
            if event.exitcode is None:
                display.progress(event.task, *event.message)
                if event.task in running:
                    continue
                running[event.task] = todo[event.task].id
            else:
                display.done(event.task, store.read_json(folders[event.task] / "result.json"))
                running.pop(event.task, None)
            store.write_json(folder / "running.json", {"cells": list(running.values())})


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tables(folder: Path, quiet: bool = False, as_json: bool = False) -> None:
    """Write tables and page of a run and show them."""
    from vaebench import report
    from vaebench.report.reading import read
    from vaebench.report.tables import terminal, write

    reading = read(folder)
    write(reading)
    page = report.write(reading)
    if as_json:
        print(json.dumps(reading.records, indent=1))
    elif quiet:
        print(page)
    else:
        Console().print(terminal(reading))
        print(f"Report: {page}")
    sys.stdout.flush()


def _nothing_to_do(folder: Path, cells: tuple[Cell, ...]) -> str:
    failed = sum(
        store.read_json(folder / "cells" / cell.id / "result.json").get("status") != "done"
        for cell in cells
    )
    if failed:
        return f"{failed} of {len(cells)} cells failed before; --retry-failed runs them again."
    return f"All {len(cells)} cells are finished; to compute one again, delete its folder."


def _outcome(folder: Path, cells: tuple[Cell, ...]) -> int:
    """0 if all cells are done, else 1."""
    results = (folder / "cells" / cell.id / "result.json" for cell in cells)
    return 0 if all(store.read_json(path).get("status") == "done" for path in results) else 1
