"""What is finished, running, failed and missing in a run, before it starts and while it runs."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from vaebench.config.cell import MEASURED, SETTINGS, Cell, Task
from vaebench.config.effort import filled
from vaebench.config.settings import from_dict
from vaebench.config.yaml_files import read
from vaebench.errors import UserError, printable, short
from vaebench.execution.worker import Plan
from vaebench.registry import code
from vaebench.runs import files
from vaebench.runs.effort import covers, lacking
from vaebench.runs.lock import Stage, running, stages
from vaebench.runs.records import cells, identity, plan
from vaebench.runs.schema import Record

STATES = ("finished", "trained", "running", "failed", "missing")
#: Settings that the time of a training step depends on most.
_KIND = tuple(s.name for s in SETTINGS if s.pace)
#: Seconds that training and evaluation of each task may take, why it fails, or None where that is
#: unknown.
Rehearse = Callable[[list[Task]], list[tuple[float, float] | str | None]]


def summary(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The cells of a run by their state: ``id``, and what is known of each.

    Raises:
        UserError: The folder is not a run.
    """
    return _states(folder, _records(folder))


def _records(folder: Path, *, planned: bool = True) -> list[Record]:
    return cells(folder, planned=planned) if (folder / "cells").is_dir() else []


def _states(folder: Path, cells: list[Record]) -> dict[str, list[dict[str, Any]]]:
    if not (folder / "config.yaml").is_file():
        raise UserError(f"No run in {folder}: it holds no config.yaml; give the --out of a run.")
    planned, asked = plan(folder), _asked(folder)
    active, far = running(folder), stages(folder)
    found: dict[str, list[dict[str, Any]]] = {state: [] for state in STATES}
    records = {record["cell"]: record for record in cells}
    for name in map(printable, planned):
        record = records.get(name)
        if name in active:
            found["running"].append({"cell": name, **_progress(far.get(name))})
        elif record and record["status"] == "done":
            seconds = record["timings"].get("total")
            if left := _left(record, asked):
                found["trained"].append({"cell": name, "seconds": seconds, "reason": left})
            else:
                found["finished"].append({"cell": name, "seconds": seconds})
        elif record and record["status"] == "failed":
            found["failed"].append({"cell": name, "reason": record["reason"]})
        else:
            started = files.file(folder, f"cells/{name}/checkpoint", 2**50) is not None
            found["missing"].append({"cell": name, "checkpoint": started})
    return found


def _progress(stage: Stage | None) -> dict[str, Any]:
    """The stage of a running cell, and the seconds that are left of it where that can be told."""
    if stage is None:
        return {}
    done, total, spent = stage["done"], stage["total"], time.time() - stage["began"]
    even = stage["stage"] in ("training", "annealing") and 0 < done <= total
    left = {"left": round(spent * (total - done) / done)} if even else {}
    return {"stage": stage["stage"], "done": done, "total": total} | left


def _far(one: Mapping[str, Any]) -> str:
    if "stage" not in one:
        return ""
    left = f", at most {_clock(one['left'])} left of it" if "left" in one else ""
    return f"{one['stage']} {one['done']} of {one['total']}{left}"


def _asked(folder: Path) -> dict[str, Any]:
    """What the run measures of every cell; empty where its settings cannot be read."""
    try:
        settings = from_dict(read(folder / "config.yaml")[0], "config.yaml")
    except UserError:
        return {}
    return {name: getattr(settings, name) for name in MEASURED if name != "extractor"}


def _left(record: Record, asked: Mapping[str, Any]) -> str:
    """What is still to be measured of a trained cell, in words; empty where nothing is."""
    if record["halted"]:
        return f"measuring was broken off: {record['halted']}"
    if count := len(record["missing"]):
        return f"{count} number{'' if count == 1 else 's'} to be measured"
    known, data = record["evaluation"], record["data"]
    asked = filled(asked, data.get("shape"), data.get("train"))
    return "more is to be measured" if known and asked and not covers(known, asked) else ""


def show(folder: Path, as_json: bool) -> None:
    """Print the state of a run.

    Raises:
        UserError: The folder is not a run.
    """
    if as_json:
        print(json.dumps(summary(folder), indent=1))
        return
    records = _records(folder)
    found = _states(folder, records)
    out = Console(soft_wrap=True, highlight=False, markup=False)
    for state in ("running", "trained", "failed", "missing"):
        for one in found[state]:
            more = (
                short(one.get("reason") or "")
                or _far(one)
                or ("has a checkpoint" if one.get("checkpoint") else "")
            )
            out.print(f"{state:8} {one['cell']}  {more}".rstrip())
    counted = [state for state in STATES if state != "trained" or found[state]]
    out.print(", ".join(f"{len(found[state])} {state}" for state in counted))
    if note := code.note(records):
        out.print(note)


def said(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """The notes on data sets, each after its name."""
    return [printable(f"{name}: {note}") for name, some in notes.items() for note in some]


def unloadable(name: str, broken: Mapping[str, str]) -> str:
    """What is said ahead of the cells of a plugin that cannot be loaded."""
    return f"{name} cannot be loaded: {short(broken[name]).rstrip('.')}; its cells will fail."


def preview(folder: Path, planned: Plan, rehearse: Rehearse) -> bool:
    """Print the cells of a run that has not started, how long they may take, and which must fail.

    Args:
        folder: The run's folder, which need not exist.
        planned: What it consists of.
        rehearse: Estimates the time of tasks, asked where none has finished.

    Returns:
        Whether nothing is known to fail.
    """
    cells, broken = [task.cell for task in planned.tasks], planned.broken
    out = Console(soft_wrap=True, highlight=False, markup=False)
    found = [r for r in _records(folder, planned=False) if r["status"] == "done"]
    done = {identity(record): record for record in found}
    missing = [cell for cell in cells if cell.id not in done]
    todo = [task for task in planned.tasks if task.cell.id not in done]
    trained = 0
    for task in planned.tasks:
        record = done.get(task.cell.id)
        lacks = lacking(record, planned.wanted[task.evaluation]) if record else []
        trained += bool(lacks)
        state = "trained" if lacks else "finished" if record else "missing"
        more = f"  lacks {', '.join(lacks)}" if lacks else ""
        out.print(f"{state:8} {task.cell.id}{more}")
    count = f"{len(cells)} cells, {len(cells) - len(missing) - trained} finished"
    count += f", {trained} to be measured." if trained else "."
    for name in dict.fromkeys(cell.plugin for cell in missing if cell.plugin in broken):
        out.print(unloadable(name, broken))
    sound = [task for task in todo if task.cell.plugin not in broken]
    if missing and not sound:
        out.print(count, "None of the missing ones can run.")
        return False
    *failing, time = _time(sound, done, rehearse)
    for line in failing:
        out.print(line)
    out.print(count, time)
    return not failing and len(sound) == len(missing)


def _time(missing: list[Task], done: dict[str, Record], rehearse: Rehearse) -> list[str]:
    """An estimate from the finished cells: those of the same variant and data, else all.

    Returns:
        What cannot be trained, if that was tried, and the estimate.
    """
    measured = [
        (record["config"], seconds)
        for record in done.values()
        if (seconds := record["timings"].get("total")) is not None
    ]
    if not missing:
        return ["Nothing is left to do."]
    if not measured:
        return _rehearsed(missing, rehearse)
    average = mean(seconds for _, seconds in measured)
    total = 0.0
    for cell, *_ in missing:
        same = [s for c, s in measured if _alike(c, cell)]
        total += mean(same) if same else average
    return [
        f"The missing ones may take {_clock(total)} one after the other, judging "
        f"by {len(measured)} finished."
    ]


def _rehearsed(missing: list[Task], rehearse: Rehearse) -> list[str]:
    """What fails in a few steps of one cell of each kind, and an estimate from the others."""
    kinds: dict[tuple[Any, ...], list[Task]] = {}
    for task in missing:
        kinds.setdefault(tuple(getattr(task.cell, name) for name in _KIND), []).append(task)
    estimates = rehearse([tasks[0] for tasks in kinds.values()])
    alike = [[task.cell for task in tasks] for tasks in kinds.values()]
    outcomes = [(found, cells[0], cells) for found, cells in zip(estimates, alike, strict=True)]
    failing = [
        f"{cell.plugin} on {cell.dataset} fails in its first steps: {short(why).rstrip('.')}."
        for why, cell, _ in outcomes
        if isinstance(why, str)
    ]
    # What a cell costs beside its kind grows with its epochs alone.
    epochs = [
        (found[0] / cell.epochs, found[1], cells)
        for found, cell, cells in outcomes
        if isinstance(found, tuple)
    ]
    if not epochs:
        return [*failing, "No cell has finished yet, and none could be timed."]
    average = tuple(mean(values) for values in zip(*((a, b) for a, b, _ in epochs), strict=True))
    known = {cell.id: (a, b) for a, b, cells in epochs for cell in cells}
    hopeless = {c.id for why, _, cells in outcomes if isinstance(why, str) for c in cells}
    left = [task.cell for task in missing if task.cell.id not in hopeless]
    training = sum(known.get(c.id, average)[0] * c.epochs for c in left)
    evaluation = sum(known.get(c.id, average)[1] for c in left)
    hint = ""
    if evaluation > training:
        hint = " --quick, or a smaller --ais-images and --ais-budget, make evaluation shorter."
    return [
        *failing,
        f"As a rough estimate from a few steps of {len(epochs)} of {len(kinds)} kinds of cell, "
        f"training takes {_clock(training)} one after the other, and evaluation at most "
        f"{_clock(evaluation)} for annealing and bounds.{hint}",
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _alike(config: dict[str, Any], cell: Cell) -> bool:
    return all(config.get(name) == getattr(cell, name) for name in ("plugin", "dataset"))
