"""What is measured of a trained cell, now or later: what its record lacks, added to the record."""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd
import torch

from vaebench.compute import devices
from vaebench.compute.memory import give_back
from vaebench.config.cell import MEASURED, Cell, Evaluation, Task
from vaebench.config.resources import Place, Progress
from vaebench.errors import UserError
from vaebench.evaluation import shown
from vaebench.evaluation.metrics.evaluate import Evaluated, evaluate, steps
from vaebench.evaluation.metrics.likelihood import AIS, ais_estimate
from vaebench.evaluation.metrics.select import METRICS, fitting, needing, select, wanted
from vaebench.evaluation.metrics.subject import Subject
from vaebench.execution.forecast import PICTURES
from vaebench.execution.restore import restore
from vaebench.models.metric import Measurement, Metric
from vaebench.registry.loading import reason
from vaebench.runs import files, per_image
from vaebench.runs.effort import joined, lacking, more
from vaebench.runs.older import renewed
from vaebench.runs.records import one
from vaebench.runs.schema import MetricRecord, Record
from vaebench.training.build import Resolved, read, set_threads

#: Settings of an evaluation that say how much effort a number is worth.
EFFORT = tuple(name for name in MEASURED if name not in ("metrics", "sampler", "extractor"))
#: Seconds of work that a kill may cost, beside those of the metric that it meets.
_EVERY = 10.0
_AIS = "log_likelihood_ais"
_ORDER = {metric.name: place for place, metric in enumerate(METRICS)}


class Known(NamedTuple):
    """What has been measured of a cell.

    Attributes:
        record: Its record.
        per_image: A column for each metric that has values of each test image.
    """

    record: Record
    per_image: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Known":
        """What a cell's folder holds."""
        return cls(one(folder.parents[1], folder.name), per_image.read(folder))


def subject_of(resolved: Resolved, evaluation: Evaluation, place: Place, **more: Any) -> Subject:
    """The trained model of a resolved cell, ready to be measured.

    Args:
        resolved: A cell whose model is trained; it is put into evaluation mode.
        evaluation: With how much effort, and with which extractor.
        place: Where weights of feature extractors are.
        more: Other fields of `Subject`.
    """
    cell = resolved.cell
    return Subject(
        model=resolved.model.eval().requires_grad_(False),
        variant=resolved.variant,
        images=resolved.images,
        seed=cell.seed,
        observation=observation(cell),
        extractor_name=evaluation.extractor,
        weights=place.fid_weights,
        download=place.download,
        **({name: getattr(evaluation, name) for name in EFFORT} | more),
    )


def observation(cell: Cell) -> str:
    """Observation model and binarisation in words: what a likelihood depends on."""
    return cell.likelihood + ("" if cell.binarise == "none" else f", {cell.binarise} binarisation")


def missing(record: Record, task: Task) -> dict[str, Metric]:
    """The metrics that a task asks for and a record lacks, by column."""
    asked = wanted(task.evaluation, task.steps)
    names = lacking(record, [each for _, each in asked.values()], task.again, task.failed)
    return {name: asked[name][0] for name in names}


def complete(
    folder: Path, task: Task, place: Place, progress: Progress, load: Callable[[], Resolved]
) -> Record:
    """Measure what a trained cell's record lacks, and add it to the record and the files beside.

    Numbers are added as they are found, each as it would be had all been measured at once. What
    fails costs itself: numbers that are there stay until there is a better one.

    Args:
        folder: The cell's folder.
        task: What is asked for.
        place: Where to compute.
        progress: Told of the metrics.
        load: Makes the trained model; called if anything is missing.

    Returns:
        The content of ``result.json``.
    """
    started = time.perf_counter()
    known = Known.read(folder)
    metrics = missing(known.record, task)
    asked = joined(known.record["evaluation"], asdict(task.evaluation))
    left = [*metrics, *(name for name in known.record["missing"] if name not in metrics)]
    draft = _Draft(folder, known, {"evaluation": asked, "missing": left, "halted": ""})
    try:
        if metrics or not shown.whole(folder):
            _measure(draft, known, metrics, task, place, progress, load())
    except KeyboardInterrupt:
        raise
    # A plugin is a stranger's code: whatever it raises, the cell stays trained.
    except BaseException as error:
        traceback.print_exc()
        draft.record["halted"] = str(error) if isinstance(error, UserError) else reason(error)
    draft.spent("total", time.perf_counter() - started)
    return draft.write()


def _measure(
    draft: "_Draft",
    known: Known,
    metrics: Mapping[str, Metric],
    task: Task,
    place: Place,
    progress: Progress,
    resolved: Resolved,
) -> None:
    """Add to a draft what metrics find, and the pictures that are not there."""
    subject = _subject(known, metrics, task, place, resolved)
    dense = needing("density")
    resting = {
        name: record
        for name, record in known.record["metrics"].items()
        if record["value"] is not None and record["metric"] in dense
    }
    timings: dict[str, float] = {}

    titles = [metric.title for metric in metrics.values()]

    def report(done: int) -> None:
        print(f"{files.OURS}measuring {titles[done]} ({done + 1} of {len(titles)})", flush=True)
        progress((f"measuring {titles[done]}", done, len(titles)))

    subject.tell = lambda what, done, total: progress((what, done, total))

    give_back()
    for found in steps(subject, metrics.values(), timings, report, resting):
        draft.add(found)
        draft.now()
        give_back()
    for group, seconds in timings.items():
        draft.spent(group, seconds)
    started = time.perf_counter()
    draft.show(subject)
    draft.spent(PICTURES, time.perf_counter() - started)


def _subject(
    known: Known, metrics: Mapping[str, Metric], task: Task, place: Place, resolved: Resolved
) -> Subject:
    """The subject; it knows the estimate by AIS where that is recorded with enough effort."""
    effort: dict[str, Any] = {"ais_steps": task.steps, "ais_compile": task.compiled}
    known_ais = None if _AIS in metrics else _estimate(known, task, len(resolved.images.test))
    if known_ais:
        effort |= {name: known_ais.depends.get(name) for name in AIS}
    subject = subject_of(resolved, task.evaluation, place, **effort)
    if known_ais:
        subject.remember(ais_estimate, known_ais)
    return subject


def _estimate(known: Known, task: Task, images: int) -> Measurement | None:
    """The recorded estimate by AIS as its metric returned it, None where more is asked for."""
    record = known.record["metrics"].get(_AIS)
    asked = {name: getattr(task.evaluation, name, task.steps) for name in AIS}
    if not record or record["value"] is None or _AIS not in known.per_image:
        return None
    depends = record["depends"]
    if more(asked, depends):
        return None
    values = known.per_image[_AIS].iloc[: min(depends["ais_images"], images)]
    each = torch.from_numpy(values.to_numpy(dtype="float64", copy=True))
    n, warning = int(record["n"] or 0), record["warning"] or None
    found = Measurement(record["value"], n, record["se"], depends, each, warning)
    return replace(found, trusted=record["trusted"])


def look(folder: Path, task: Task, place: Place) -> dict[str, MetricRecord]:
    """All that a task asks for, measured without a change to the cell's folder."""
    resolved = restored(folder, task.cell, place)
    more_of = {"ais_steps": task.steps, "ais_compile": task.compiled}
    subject = subject_of(resolved, task.evaluation, place, **more_of)
    asked = select(task.evaluation.metrics, task.evaluation.sampler)
    metrics = fitting(asked, resolved.images.kind)
    return evaluate(subject, metrics, {}, lambda done: None).records


def restored(folder: Path, cell: Cell, place: Place) -> Resolved:
    """The trained model of a cell, computed with as many threads as it was trained with.

    Raises:
        UserError: Its weights do not fit, or its data have changed.
    """
    run, name = folder.parents[1], folder.name
    record, images = one(run, name), read(cell, place)
    threads = record["hardware"].get("threads")
    set_threads(cell, images, threads if type(threads) is int and threads > 0 else place.threads)
    return restore(run, record, images, devices.find(place.device))


class _Draft:
    """The result of a cell as it will be, written when it is time."""

    def __init__(self, folder: Path, known: Known, changes: Mapping[str, Any]) -> None:
        self.folder = folder
        self.record = renewed(files.read_json(folder / "result.json")) | dict(changes)
        self.per_image = known.per_image
        self.changed: dict[str, bytes] = {}
        self.last = time.monotonic()

    def add(self, found: Evaluated) -> None:
        """Take up what a metric changes."""
        for name, record in found.records.items():
            self.record["metrics"][name] = record
            self.per_image = self.per_image.drop(columns=name, errors="ignore")
            if name in self.record["missing"]:
                self.record["missing"].remove(name)
        values = {name: pd.Series(each.tolist()) for name, each in found.per_image.items()}
        if values:
            self.per_image = pd.concat([self.per_image, pd.DataFrame(values)], axis=1)
        if found.records:
            order = self._sorted(self.record["metrics"])
            self.record["metrics"] = {name: self.record["metrics"][name] for name in order}
            frame = self.per_image[[name for name in order if name in self.per_image]]
            if len(frame.columns) or (self.folder / per_image.NAME).exists():
                self.changed[per_image.NAME] = per_image.content(frame)

    def _sorted(self, names: Iterable[str]) -> list[str]:
        """Columns in the order in which all metrics are measured."""
        metrics = self.record["metrics"]
        last = len(_ORDER)
        return sorted(names, key=lambda name: _ORDER.get(str(metrics[name].get("metric")), last))

    def spent(self, group: str, seconds: float) -> None:
        """Count seconds."""
        timings = self.record["timings"]
        timings[group] = round(timings.get(group, 0.0) + seconds, 2)

    def show(self, subject: Subject) -> None:
        """Take up the pictures that the folder does not hold, or the texts."""
        for name, content, words in shown.shown(subject, self.folder):
            self.changed[name] = content
            if words:
                captions = self.record.get("captions", {})
                self.record["captions"] = captions | {Path(name).stem: words}

    def now(self) -> None:
        """Write, if the last time is long ago."""
        if time.monotonic() - self.last > _EVERY:
            self.write()

    def write(self) -> Record:
        """Write the result and the files that have changed."""
        written = files.amend(self.folder, self.record, self.changed)
        self.changed, self.last = {}, time.monotonic()
        return cast(Record, written)
