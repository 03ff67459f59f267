"""Measures trained cells with other metrics or more effort, from their weights. No torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from vaebench.config.cell import SETTINGS, Evaluation, Task
from vaebench.config.effort import USUAL, chosen
from vaebench.config.names import parse
from vaebench.config.resources import Place
from vaebench.errors import UserError, unknown
from vaebench.execution import driver
from vaebench.execution.engines import local
from vaebench.execution.forecast import Forecast, forecast
from vaebench.execution.worker import asked
from vaebench.runs import files, records
from vaebench.runs.described import described
from vaebench.runs.effort import kind_of, lacking, less
from vaebench.runs.lock import held
from vaebench.runs.schema import MetricRecord, Record


@dataclass(frozen=True)
class Wish:
    """What is to be measured of cells.

    Attributes:
        changes: Fields of `Evaluation` in which it differs from what was measured before.
        steps: Steps of AIS; None lets a pilot decide.
        compiled: Whether AIS compiles its steps.
        again: Whether to replace numbers of as much effort.
    """

    changes: Mapping[str, Any]
    steps: int | None = None
    compiled: bool = False
    again: bool = False


def evaluate(
    run: Path, cells: Sequence[str], wish: Wish, where: driver.Where, keep: bool
) -> dict[str, dict[str, MetricRecord]]:
    """Measure what the records of trained cells lack, and add it to records, tables and page.

    Args:
        run: Their run.
        cells: Their names.
        wish: What to measure.
        where: Where to compute.
        keep: Whether to write; else all that is asked for is measured and the run stays as it is.

    Returns:
        The records of what is asked for, by cell and by column.

    Raises:
        UserError: A cell has no trained model, a metric cannot be had, or a file cannot be written.
    """
    screen = Console(stderr=True, quiet=where.quiet, highlight=False)
    with screen.status("Reading plugins and data"):
        tasks, wanted, place = local.call(plan, run, tuple(cells), wish, _place(where), keep)
    if not keep:
        from vaebench.execution.measure import look

        folders = [run / "cells" / name for name in cells]
        with screen.status("Measuring"):
            return {f.name: look(f, task, place) for f, task in zip(folders, tasks, strict=True)}
    with held(run, "wait for it"):
        _measure(run, cells, tasks, wanted, place, where, screen)
    found = {}
    for name, task in zip(cells, tasks, strict=True):
        record = records.one(run, name)
        columns = [one.column for one in wanted[task.evaluation]]
        found[name] = {c: record["metrics"][c] for c in columns if c in record["metrics"]}
        kept = less(record, wanted[task.evaluation])
        if kept and not wish.again:
            screen.print(
                f"{name} keeps what was measured with other effort that is not less: "
                f"{', '.join(kept)}; --again replaces it.",
                markup=False,
                soft_wrap=True,
            )
        if record["halted"]:
            raise UserError(f"{name}: measuring was broken off: {record['halted']}")
    return found


def preview(run: Path, cells: Sequence[str], wish: Wish, where: driver.Where) -> list[Forecast]:
    """What `evaluate` would measure of cells, and how long it may take; nothing is measured.

    Raises:
        UserError: As `evaluate`.
    """
    screen = Console(stderr=True, quiet=where.quiet, highlight=False)
    with screen.status("Reading plugins"):
        tasks, wanted, _ = local.call(plan, run, tuple(cells), wish, _place(where), True)
    done = [one for one in records.cells(run) if one["status"] == "done"]
    found = []
    for name, task in zip(cells, tasks, strict=True):
        record, asks = records.one(run, name), wanted[task.evaluation]
        found.append(forecast(record, asks, lacking(record, asks, task.again, task.failed), done))
    return found


def _place(where: driver.Where) -> Place:
    return Place(
        root=where.data_dir or Path("data"),
        device=where.device,
        download=where.download,
        fid_weights=where.fid_weights,
    )


def _measure(
    run: Path,
    cells: Sequence[str],
    tasks: Sequence[Task],
    wanted: Mapping[Evaluation, Iterable[Any]],
    place: Place,
    where: driver.Where,
    screen: Console,
) -> None:
    """Measure what is lacking; UserError where a cell is damaged."""
    todo, folders = [], []
    for name, task in zip(cells, tasks, strict=True):
        folder = run / "cells" / name
        if flaw := files.flaw(folder):
            raise UserError(f"{name} is damaged ({flaw}); run the command of its run again.")
        record = records.one(run, name)
        if record["halted"] or lacking(record, wanted[task.evaluation], task.again, task.failed):
            todo.append(task)
            folders.append(folder)
    if todo:
        driver.compute(todo, folders, place, where, screen)


def plan(
    run: Path, cells: tuple[str, ...], wish: Wish, place: Place, keep: bool
) -> tuple[list[Task], dict[Evaluation, tuple[Any, ...]], Place]:
    """The tasks of cells, the numbers that each evaluation asks for, and the place with its device.

    Raises:
        UserError: A cell has no trained model, other code has trained it, or a metric cannot be
            had.
    """
    from dataclasses import replace

    from vaebench.compute import devices
    from vaebench.evaluation.features.extractor import EXTRACTORS
    from vaebench.evaluation.metrics.select import check_kinds
    from vaebench.registry.catalogue import catalogue

    found = catalogue()
    known = {*EXTRACTORS, *found.extractors()}
    tasks = []
    for name in cells:
        record = records.one(run, name)
        if record["status"] != "done":
            raise UserError(f"{name} has no trained model: {record['reason'] or record['status']}.")
        cell, *_ = described(record)
        check_kinds(wish.changes.get("metrics", ()), {kind_of(record)})
        evaluation = _evaluation(record, cell.dataset, wish.changes)
        if evaluation.extractor not in known:
            raise unknown("feature extractor", evaluation.extractor, known)
        code, now = cell.code.partition("+")[0], found.owner(parse(cell.plugin)[0]).code
        if keep and code and code != now:
            raise UserError(
                f"{name} was trained by other code of {cell.plugin} than is installed now: what is "
                "measured with it would not be of the same model. `vaebench run` trains it anew; "
                "--no-write measures all the same."
            )
        tasks.append(Task(cell, evaluation, wish.steps, wish.compiled, wish.again, failed=True))
    return tasks, asked(tasks), replace(place, device=str(devices.find(place.device)))


def _evaluation(record: Record, dataset: str, changes: Mapping[str, Any]) -> Evaluation:
    """What was measured before, with changes; what is not known of it is as by default."""
    from vaebench.registry.lookup import source

    names = {f.name for f in fields(Evaluation)}
    values = {s.name: s.default for s in SETTINGS if s.name in names}
    values |= {"extractor": source(dataset).extractor}
    before, data = record["evaluation"], record["data"]
    known = {name: value for name, value in before.items() if name in names and value is not None}
    # Earlier versions did not choose, and did not write down what all cells had.
    values |= (USUAL if known else chosen(data.get("shape"), data.get("train"))) | known
    values |= changes
    return Evaluation(**values | {name: tuple(values[name]) for name in ("metrics", "sampler")})
