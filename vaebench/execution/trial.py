"""A trial of tuning: a training that is measured on validation items, and on no others."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vaebench.compute import devices
from vaebench.compute.random import undisturbed
from vaebench.config.cell import Cell, Evaluation
from vaebench.config.resources import Place
from vaebench.data.dataset import Dataset
from vaebench.errors import UserError
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import METRICS
from vaebench.execution import frozen
from vaebench.execution.measure import subject_of
from vaebench.execution.search import Trial
from vaebench.models.metric import Metric
from vaebench.models.vae import VAE
from vaebench.registry.catalogue import catalogue
from vaebench.runs.schema import MetricRecord
from vaebench.training.build import Resolved, build, read, set_threads
from vaebench.training.fit import fit

#: The metric that each criterion is, by what it is called on the command line.
CRITERIA: Mapping[str, Metric] = {
    name: next(metric for metric in METRICS if metric.name == column)
    for name, column in {"iwae": "iwae_{k}", "ais": "log_likelihood_ais"}.items()
}


class _Stopped(Exception):
    """The trial is stopped: it does worse than others did."""


def validating(images: Dataset) -> Dataset:
    """The data set with its validation items in the place of the test items, which it has not."""
    return replace(images, test=images.validation)


def run(asked: Trial, place: Place, report: Callable[[Any], None]) -> None:
    """Train and measure; report what `runs.tuning.Trial` says of it, its settings aside.

    Progress is reported as (stage, done, total) before.
    """
    started = time.perf_counter()
    rungs: dict[str, float] = {}
    found: dict[str, Any] = {"state": "complete", "value": None, "se": None, "reason": ""}
    try:
        resolved = resolve(asked.cell, place, asked.run)

        def epoch(row: Mapping[str, float], validated: VAE) -> None:
            now = int(row["epoch"])
            report(("training", now, asked.cell.epochs))
            if now in asked.rungs:
                _rung(now, asked, replace(resolved, model=validated), place, rungs)

        fit(resolved, epoch, compile=place.compiled, replay=place.replay)
        record = measured(resolved, asked.evaluation, asked.criterion, place)
        value, se = record["value"], record["se"]
        if value is None or not math.isfinite(value):
            found |= {"state": "failed", "reason": record["reason"] or "no finite number"}
        else:
            found |= {"value": value, "se": se if se is not None and math.isfinite(se) else None}
    except _Stopped:
        found["state"] = "pruned"
    except KeyboardInterrupt:
        raise
    # A plugin is a stranger's code: whatever it raises costs its own trial and nothing else.
    except BaseException as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        found |= {"state": "failed", "reason": f"{kind}{error}"}
    report(found | {"rungs": rungs, "seconds": round(time.perf_counter() - started, 2)})


def resolve(cell: Cell, place: Place, run: Path) -> Resolved:
    """What a cell of a run stands for, without the test items."""
    images = validating(read(cell, place))
    set_threads(cell, images, place.threads)
    variant = catalogue().variant(cell.plugin)
    resolved = build(cell, variant, images, devices.find(place.device))
    frozen.fill(resolved.model, run, cell)
    return resolved


def _rung(
    epoch: int, asked: Trial, resolved: Resolved, place: Place, rungs: dict[str, float]
) -> None:
    """Note the bound L_K of the model as it is; raise _Stopped where it is below the limit."""
    modes = [(each, each.training) for each in resolved.model.modules()]
    learnt = [each for each in resolved.model.parameters() if each.requires_grad]
    try:
        with undisturbed():
            value = measured(resolved, asked.evaluation, "iwae", place)["value"]
    finally:
        for module, training in modes:
            module.training = training
        for each in learnt:
            each.requires_grad_(True)
    if value is not None and math.isfinite(value):
        rungs[str(epoch)] = value
        if value < asked.limits.get(epoch, value):
            raise _Stopped


def measured(
    resolved: Resolved, evaluation: Evaluation, criterion: str, place: Place
) -> MetricRecord:
    """The criterion on the items that stand in the place of test items.

    Its noise depends on the cell's seed, which all trials share.
    """
    subject = subject_of(resolved, evaluation, place)
    metric = CRITERIA[criterion]
    with torch.no_grad() if criterion == "iwae" else torch.enable_grad():
        return evaluate(subject, [metric], {}, lambda done: None).records[subject.column(metric)]
