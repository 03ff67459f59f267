"""The functions that run in worker processes; the driver names them without loading torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaebench.config.cell import Evaluation, Task
from vaebench.config.resources import Place, Progress
from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.execution.search import Searches, Trial
from vaebench.runs.effort import Wanted
from vaebench.runs.schema import Record


@dataclass(frozen=True)
class Plan:
    """The tasks of a run, the settings with every name spelled out, and the device found.

    `wanted` has the numbers that each evaluation asks for, `broken` the reason for each installed
    plugin that cannot be loaded, `notes` what is to be said of data sets.
    """

    settings: Settings
    tasks: tuple[Task, ...]
    device: str
    wanted: Mapping[Evaluation, tuple[Wanted, ...]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan(settings: Settings, place: Place) -> Plan:
    """Resolve and check everything that is asked for; UserError if it cannot be had."""
    from vaebench.compute import devices, precision
    from vaebench.execution.plan import resolve
    from vaebench.registry.catalogue import catalogue

    if place.fid_weights is not None and not place.fid_weights.is_file():
        raise UserError(f"--fid-weights {place.fid_weights} is not a file.")
    device = devices.find(place.device)
    if place.devices > (there := devices.count(device)):
        raise UserError(
            f"--devices {place.devices} is more than the {there} of {device} here; take fewer."
        )
    resolved, tasks, notes = resolve(settings, place)
    for cell, *_ in tasks:
        precision.verify(cell.precision, device)
        if cell.batch_size % place.devices:
            raise UserError(
                f"--batch-size {cell.batch_size} cannot be divided among {place.devices} devices; "
                "choose a multiple."
            )
    return Plan(resolved, tasks, str(device), asked(tasks), catalogue().broken, notes)


def asked(tasks: Iterable[Task]) -> dict[Evaluation, tuple[Wanted, ...]]:
    """The numbers that tasks ask for; UserError for a metric that cannot be had."""
    from vaebench.evaluation.metrics.select import wanted

    several = {(task.evaluation, task.steps) for task in tasks}
    return {
        evaluation: tuple(each for _, each in wanted(evaluation, steps).values())
        for evaluation, steps in several
    }


def work(task: Task, place: Place, folder: Path, progress: Progress) -> Record:
    """Run a task into its cell's folder."""
    from vaebench.execution.run_cell import run

    return run(task, place, folder, progress)


def searches(
    tasks: tuple[Task, ...], spaces: tuple[str, ...], criterion: str, place: Place
) -> Searches:
    """What is searched of the variants of tasks; UserError for spaces that are none."""
    from vaebench.execution.spaces import plan

    return plan(tasks, spaces, criterion, place)


def trial(asked: Trial, place: Place, report: Callable[[Any], None]) -> None:
    """Train and measure on validation items; report what it came to."""
    from vaebench.execution.trial import run

    run(asked, place, report)


def rehearse(tasks: tuple[Task, ...], place: Place) -> list[dict[str, float] | str | None]:
    """Seconds of each phase of a task, why it fails, or None where it is unknown."""
    from vaebench.execution import timing

    return timing.rehearse(tasks, place)


def chosen(names: tuple[str, ...]) -> list[str]:
    """The variants that names stand for; UserError for one that cannot be had."""
    from vaebench.registry.catalogue import catalogue

    found = catalogue()
    selected = found.select(names)
    for name in selected:
        found.variant(name)
    return selected


def examine(name: str, send: Callable[[Any], None]) -> None:
    """Run the conformance kit on a variant; send (check, number, of how many), then the results."""
    from dataclasses import asdict

    from vaebench import testing
    from vaebench.registry.catalogue import catalogue

    results = testing.run(catalogue().variant(name), progress=lambda *state: send(state))
    send([asdict(result) for result in results])
