"""What a run would do that has not started, and how long that may take."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from vaebench.config.cell import SETTINGS, Cell, Task
from vaebench.errors import printable, short
from vaebench.execution.forecast import (
    AT_MOST,
    REAL,
    REPORT,
    TRAINING,
    Forecast,
    forecast,
    foreseen,
    table,
)
from vaebench.execution.worker import Plan
from vaebench.runs import records
from vaebench.runs.effort import lacking
from vaebench.runs.schema import Record

#: Settings that the time of a training step depends on most.
_KIND = tuple(s.name for s in SETTINGS if s.pace)
#: Seconds of each phase of each task, why it fails, or None where that is unknown.
Rehearse = Callable[[list[Task]], list[dict[str, float] | str | None]]
#: Seconds that tables and page take, and those that each cell adds.
_REPORT = (3.0, 0.5)


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
    there = records.cells(folder, planned=False) if (folder / "cells").is_dir() else []
    found = [record for record in there if record["status"] == "done"]
    done = {records.identity(record): record for record in found}
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
    measured = list(done.values())
    left = [
        forecast(record, wanted, columns, measured)
        for task in planned.tasks
        if (record := done.get(task.cell.id))
        and (columns := lacking(record, wanted := planned.wanted[task.evaluation]))
    ]
    failing, judged, training = _forecasts(sound, planned, measured, rehearse)
    for line in failing:
        out.print(line)
    out.print(count, judged)
    if left or training:
        first, each = _REPORT
        report = Forecast("", (), {REPORT: first + each * len(cells)})
        rehearsed = bool(training) and not measured
        for line in table([*training, *left, report], AT_MOST if rehearsed else ()):
            out.print(line)
        if rehearsed and (hint := _hint(training)):
            out.print(hint)
    return not failing and len(sound) == len(missing)


def _forecasts(
    missing: list[Task], planned: Plan, measured: list[Record], rehearse: Rehearse
) -> tuple[list[str], str, list[Forecast]]:
    """What cells come to that are not trained, judging by finished ones, or by a few steps.

    Returns:
        What cannot be trained, if that was tried, what the forecasts rest on, and these.
    """
    if not missing:
        words = "One cell after the other, judging by what it took before:"
        return [], words if measured else "Nothing is left to do.", []
    if not measured:
        return _rehearsed(missing, rehearse)
    found = [foreseen(t.cell, planned.wanted[t.evaluation], measured) for t in missing]
    return [], f"One cell after the other, judging by {len(measured)} finished:", found


def _rehearsed(missing: list[Task], rehearse: Rehearse) -> tuple[list[str], str, list[Forecast]]:
    """What fails in a few steps of one cell of each kind, and forecasts from the others."""
    kinds: dict[tuple[Any, ...], list[Task]] = {}
    for task in missing:
        kinds.setdefault(tuple(getattr(task.cell, name) for name in _KIND), []).append(task)
    outcomes = rehearse([tasks[0] for tasks in kinds.values()])
    alike = list(zip(outcomes, kinds.values(), strict=True))
    failing = [
        f"{tasks[0].cell.plugin} on {tasks[0].cell.dataset} fails in its first steps: "
        f"{short(why).rstrip('.')}."
        for why, tasks in alike
        if isinstance(why, str)
    ]
    timed = [(found, tasks) for found, tasks in alike if isinstance(found, dict)]
    if not timed:
        return failing, "No cell has finished yet, and none could be timed.", []
    average = _mean([_of(found, tasks[0].cell, 1) for found, tasks in timed])
    forecasts, read = [], set()
    for outcome, tasks in alike:
        if isinstance(outcome, str):
            continue
        each = average if outcome is None else _of(outcome, tasks[0].cell, 1)
        for cell in (task.cell for task in tasks):
            phases = {**each, TRAINING: each[TRAINING] * cell.epochs}
            data = cell.dataset, cell.image_size
            if data in read:
                phases.pop(REAL, None)
            read.add(data)
            forecasts.append(Forecast(cell.id, (), phases))
    judged = f"a few steps and images of {len(timed)} of {len(kinds)} kinds of cell"
    return failing, f"One cell after the other, as a rough estimate from {judged}:", forecasts


def _of(phases: Mapping[str, float], timed: Cell, epochs: int) -> dict[str, float]:
    """The phases of a cell that trains for other epochs; nothing else grows with these."""
    return {**phases, TRAINING: phases[TRAINING] * epochs / timed.epochs}


def _mean(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each phase, over those that have it."""
    names = dict.fromkeys(name for each in several for name in each)
    return {name: mean(each[name] for each in several if name in each) for name in names}


def _hint(forecasts: Sequence[Forecast]) -> str:
    """How annealing and bounds are had in less time, where they take longer than training."""
    found = Counter[str]()
    for one in forecasts:
        found.update(one.phases)
    if found["ais"] + found["iwae"] <= found[TRAINING]:
        return ""
    return "--quick, or a smaller --ais-images and --ais-budget, make evaluation shorter."
