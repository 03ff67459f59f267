"""Tunes variants: as many trials for each, chosen on validation items. No torch.

A round is one trial of each variant. What the next trial of a variant tries follows from those
before it and from nothing else, so that a search that was broken off goes on as if it had not been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from vaebench.config.cell import SETTINGS, Task
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.config.space import Choice, Space, changed, rounded, words
from vaebench.errors import UserError, short, unknown
from vaebench.execution import driver
from vaebench.execution.engines import local
from vaebench.execution.search import Searched, Searches, Trial
from vaebench.execution.worker import Plan, searches, trial
from vaebench.report import write
from vaebench.runs import files, records, trials, tuning
from vaebench.runs.lock import claimed, held
from vaebench.runs.tuning import BOTH, DEFAULT, TUNED, Tuning

CRITERIA = ("iwae", "ais")
#: The smallest seed of trials.
_SEED = 1000
#: Trials of a variant that are drawn at random after its default, and those that have to have come
#: to an epoch before one may be stopped there.
_RANDOM, _LEAST = 5, 4


@dataclass(frozen=True)
class Search:
    """What is asked for: so many trials of each variant, by which criterion, in which spaces."""

    trials: int = 20
    criterion: str = "iwae"
    spaces: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise UserError for values that cannot work, or where Optuna is not installed."""
        if self.trials < 2:
            raise UserError("--trials must be 2 or more: the first one has the default settings.")
        if self.criterion not in CRITERIA:
            raise unknown("criterion", self.criterion, CRITERIA)
        if find_spec("optuna") is None:
            raise UserError("vaebench tune needs Optuna: pip install 'vaebench[tune]'")


def tune(settings: Settings, search: Search, where: driver.Where) -> int:
    """Search the settings of each variant, then run default and chosen ones with fresh seeds.

    Returns:
        0 if all cells are finished, 1 if some failed.

    Raises:
        UserError: The request cannot be met, or the folder cannot be written.
    """
    screen = Console(stderr=True, quiet=where.quiet)
    search.check()
    place, planned = driver.prepared(settings, where, screen)
    place = replace(place, device=planned.device)
    _one_problem(planned)
    folder = where.out or driver.default_folder(planned.settings)
    seed = next(n for n in count(_SEED) if n not in planned.settings.seeds)
    first = {t.cell.plugin: t._replace(cell=replace(t.cell, seed=seed)) for t in planned.tasks}
    with screen.status("Reading search spaces"):
        found = local.call(searches, tuple(first.values()), search.spaces, search.criterion, place)
    for line in _said(found, search, seed):
        screen.print(line, markup=False, soft_wrap=True)
    if where.dry_run:
        print(
            f"{search.trials} trials of each of {len(_searched(found))} variants, each a training "
            "with its validation; then the cells below, and as many with the settings chosen."
        )
        return driver.dry_run(folder, planned, place, screen)
    with driver.writing(folder):
        with held(folder):
            claimed(folder, planned.settings)
            state = _begun(folder, search, found, first, seed, screen)
            driver.begin(folder, settings, planned)
            (folder / "cells").mkdir(exist_ok=True)
            if not (folder / "plan.json").exists():
                records.write(folder, [task.cell for task in planned.tasks])
            _rounds(folder, state, found, first, search, where, place, screen)
            planned = _final(folder, state, planned)
            driver.carry_out(folder, planned, place, where, screen)
            made = write(folder)
    return driver.ended(made, planned, where)


def _one_problem(planned: Plan) -> None:
    """Raise UserError unless cells differ by nothing but variant and seed."""
    cells = [replace(task.cell, plugin="", seed=0, code="") for task in planned.tasks]
    for setting in SETTINGS:
        name = setting.name
        if setting.axis and name not in ("plugin", "seed"):
            several = {getattr(cell, name) for cell in cells}
            if len(several) > 1:
                raise UserError(
                    f"vaebench tune takes one value of {setting.flag}, and this run has "
                    f"{len(several)}; run it once for each."
                )


def _searched(found: Searches) -> dict[str, Searched]:
    return {name: each for name, each in found.found.items() if isinstance(each, Searched)}


def _said(found: Searches, search: Search, seed: int) -> list[str]:
    """What is searched by which criterion, and what is left out."""
    by = found.criterion
    lines = [
        f"Each trial is trained with seed {seed} and measured by {by['title']} on "
        f"{by['images']} validation items."
    ]
    for name, each in found.found.items():
        if isinstance(each, Searched):
            lines.append(f"{name}: {', '.join(f'{k} {v}' for k, v in _shown(each.space).items())}")
        else:
            lines.append(f"{name} is not tuned: {short(each).rstrip('.')}.")
    return lines


def _shown(space: Mapping[str, Space]) -> dict[str, str]:
    return {name: str(each) for name, each in space.items()}


def _begun(
    folder: Path,
    search: Search,
    found: Searches,
    first: Mapping[str, Task],
    seed: int,
    screen: Console,
) -> Tuning:
    """The search of a folder as far as it has come: that of trials of the same settings and code.

    Raises:
        UserError: The folder holds another search, or one of more trials.
    """
    searched = _searched(found)
    epochs = next(iter(first.values())).cell.epochs
    state: Tuning = {
        "trials": search.trials,
        "seed": seed,
        "criterion": found.criterion,
        "rungs": sorted({round(epochs / 3), round(2 * epochs / 3)} - {0, epochs}),
        "asked": list(search.spaces),
        "variants": {
            name: {"cell": first[name].cell.id, "space": _shown(each.space), "trials": []}
            for name, each in searched.items()
        },
        "left_out": {name: why for name, why in found.found.items() if isinstance(why, str)},
        "cells": {},
    }
    before = tuning.read(folder)
    if before is None:
        if (folder / tuning.NAME).exists():
            raise UserError(
                f"{folder / tuning.NAME} is damaged; remove it, and the search begins again."
            )
        return state
    if before["seed"] != state["seed"]:
        raise UserError(f"{folder} holds a search with another seed; choose another --out.")
    if any(before[key] != state[key] for key in ("criterion", "rungs")):
        raise UserError(f"{folder} holds a search by another criterion; choose another --out.")
    if before["trials"] > search.trials:
        raise UserError(
            f"{folder} holds a search of {before['trials']} trials; ask for as many or more, or "
            "choose another --out."
        )
    for name, mine in state["variants"].items():
        there = before["variants"].get(name)
        if there is None:
            continue
        if there["space"] != mine["space"]:
            raise UserError(
                f"{folder} holds a search of another space of {name}; choose another --out."
            )
        if there["cell"] == mine["cell"]:
            mine["trials"] = there["trials"]
        else:
            screen.print(f"{name} has other code than its trials; they begin again.", markup=False)
    state["cells"] = before["cells"]
    return state


def _rounds(
    folder: Path,
    state: Tuning,
    found: Searches,
    first: Mapping[str, Task],
    search: Search,
    where: driver.Where,
    place: Place,
    screen: Console,
) -> None:
    """Run the trials that are missing, and keep each as soon as it has ended."""
    trials.write(folder, state)
    searched = _searched(found)
    for number in range(search.trials):
        todo = [n for n in searched if len(state["variants"][n]["trials"]) == number]
        if not todo:
            continue
        tried = {
            name: proposed(searched[name], state["variants"][name]["trials"], number)
            for name in todo
        }
        asked = [
            Trial(
                changed(first[name].cell, tried[name]),
                first[name].evaluation,
                search.criterion,
                folder.absolute(),
                tuple(state["rungs"]),
                tuning.limits(state["variants"][name], state["rungs"], _LEAST),
            )
            for name in todo
        ]
        logs = [folder / "trials" / first[name].cell.id / f"{number}.txt" for name in todo]
        jobs, shared = driver.spread(place, where, len(todo))
        answers: dict[int, dict[str, Any]] = {}
        calls = [(one, shared) for one in asked]
        for event in local.run(trial, calls, logs, jobs, driver.limits(where), tries=2):
            if isinstance(event.message, dict):
                answers[event.task] = event.message
            if event.exitcode is None:
                continue
            name = todo[event.task]
            answer = answers.get(event.task) or _dead(event, logs[event.task])
            if answer["state"] != "failed":
                logs[event.task].unlink(missing_ok=True)
            state["variants"][name]["trials"].append({"settings": tried[name], **answer})  # type: ignore[typeddict-item]
            trials.write(folder, state)
            text = _line(name, number, search.trials, tried[name], answer, found)
            screen.print(text, markup=False, highlight=False, soft_wrap=True)


def _dead(event: Any, log: Path) -> dict[str, Any]:
    """What is kept of a trial whose process ended without an answer."""
    said = files.last_lines(log)
    reason = event.reason or f"its process ended with exit code {event.exitcode}"
    return {
        "state": "failed",
        "value": None,
        "se": None,
        "rungs": {},
        "reason": reason + (f"; its log ends: {said}" if said else ""),
        "seconds": 0.0,
    }


def _line(
    name: str,
    number: int,
    of: int,
    tried: Mapping[str, Any],
    answer: Mapping[str, Any],
    found: Searches,
) -> str:
    said = {
        "complete": lambda: f"{found.criterion['title']} {answer['value']:.2f}",
        "pruned": lambda: "stopped early",
        "failed": lambda: f"failed: {short(answer['reason'])}",
    }
    return f"{name} {number + 1}/{of}: {said[answer['state']]()} ({words(tried)})"


def proposed(searched: Searched, before: Sequence[tuning.Trial], number: int) -> dict[str, Any]:
    """What trial `number` tries, given those before it: the defaults first, then as TPE says.

    References:
        Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, NeurIPS 24.
    """
    if number == 0:
        return dict(searched.default)
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {
        name: _distribution(each, searched.default[name]) for name, each in searched.space.items()
    }
    sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=_RANDOM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    states = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    for one in before:
        study.add_trial(
            create_trial(
                state=states[one["state"]],
                value=one["value"],
                params=one["settings"],
                distributions=spaces,
                intermediate_values={int(epoch): value for epoch, value in one["rungs"].items()},
            )
        )
    params = study.ask(spaces).params
    return {name: rounded(each, params[name]) for name, each in searched.space.items()}


def _distribution(space: Space, default: Any) -> Any:
    """A space as Optuna knows it."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(space, Choice):
        return CategoricalDistribution(space.values)
    if type(default) is int:
        return IntDistribution(int(space.low), int(space.high), log=space.log)
    return FloatDistribution(space.low, space.high, log=space.log)


def _final(folder: Path, state: Tuning, planned: Plan) -> Plan:
    """The plan with the chosen settings beside the defaults; which cell has which is kept."""
    cells: dict[str, tuning.Place] = {}
    tasks: list[Task] = []
    for task in planned.tasks:
        name = task.cell.plugin
        tasks.append(task)
        cells[task.cell.id] = {"variant": name, "settings": DEFAULT}
        values = best(state, name)
        if values is None:
            continue
        cell = changed(task.cell, values)
        if cell.id == task.cell.id:
            cells[cell.id] = {"variant": name, "settings": BOTH}
        else:
            cells[cell.id] = {"variant": name, "settings": TUNED}
            tasks.append(task._replace(cell=cell))
    state["cells"] = cells
    trials.write(folder, state)
    return replace(planned, tasks=tuple(tasks))


def best(state: Tuning, variant: str) -> dict[str, Any] | None:
    """The settings chosen for a variant; None where it was not tuned, or no trial came through."""
    search = state["variants"].get(variant)
    number = None if search is None else tuning.chosen(search)
    return None if search is None or number is None else search["trials"][number]["settings"]
