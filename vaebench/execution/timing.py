"""How long trainings may take, from a few steps of each."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from vaebench.compute import devices
from vaebench.compute.random import seeded
from vaebench.config.cell import Evaluation, Task
from vaebench.config.resources import Place
from vaebench.data.batches import items_of
from vaebench.data.dataset import subset
from vaebench.errors import UserError
from vaebench.evaluation.metrics.select import wanted
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import Resolved, build, read
from vaebench.training.fit import fit
from vaebench.training.harness import Diverged

#: Steps that are timed, after as many that are not.
STEPS = 4
#: Codes that are decoded together to time it.
_ROWS = 64
#: Seconds after which no further cell is tried.
PATIENCE = 60.0


def rehearse(tasks: Sequence[Task], place: Place) -> list[tuple[float, float] | str | None]:
    """Seconds of training and, at most, of evaluation; why a task fails; None if not tried."""
    torch.set_num_threads(place.threads)
    end = time.monotonic() + PATIENCE
    found: list[tuple[float, float] | str | None] = []
    for task in tasks:
        try:
            found.append(_seconds(task, place) if time.monotonic() < end else None)
        # A variant that fails does so again in the run, where it costs its own cells.
        except (Exception, SystemExit) as error:
            known = isinstance(error, UserError | Diverged)
            found.append(str(error) if known else f"{type(error).__name__}: {error}")
    return found


def _seconds(task: Task, place: Place) -> tuple[float, float]:
    cell = task.cell
    images = read(cell, place)
    size = min(cell.batch_size, len(images.train))
    few = replace(
        images,
        train=subset(images.train, slice(STEPS * size)),
        validation=subset(images.validation, slice(size)),
        test=subset(images.test, slice(1)),
        labelled=None if images.labelled is None else min(images.labelled, STEPS * size),
    )
    steps = len(few.train) // size
    variant = catalogue().variant(cell.plugin)
    changes: dict[str, Any] = {"epochs": 2, "budget": "epochs", "evaluate": "last"}
    short = replace(cell, kl_warmup=0, kl_schedule="linear", **changes)
    resolved = build(short, variant, few, devices.find(place.device))
    ends: list[float] = []
    trained = fit(resolved, lambda row, validated: ends.append(time.perf_counter()))
    step = (ends[1] - ends[0]) / steps
    count = float(cell.epochs * (len(images.train) // size))
    if cell.budget == "decoder-passes":
        passes = trained.decoder_passes / (2 * steps * size)
        count /= passes
    training = step * math.ceil(count) if cell.seconds is None else cell.seconds
    return training, _evaluation(resolved, task.evaluation, len(images.test))


def _evaluation(resolved: Resolved, evaluation: Evaluation, images: int) -> float:
    """Seconds that decoding for an evaluation takes at most, which is most of its time."""
    efforts = [metric.effort for metric, _ in wanted(evaluation).values()]
    annealed = any("ais_budget" in effort for effort in efforts)
    bounded = any("iw_images" in effort for effort in efforts)
    gradients = min(images, evaluation.ais_images) * evaluation.ais_budget * annealed
    passes = min(images, evaluation.iw_images) * evaluation.iw_samples * bounded
    model, shape = resolved.model.eval(), (_ROWS, 1, resolved.cell.latent)
    x = model.see(items_of(resolved.images.test, model.likelihood, "test").to(resolved.device))
    with seeded(0, "timing"), torch.no_grad():
        p = model.prior(x)
        z = p.sample(torch.Size(shape[:1] if p.batch_shape else shape[:2]))

    def forward() -> None:
        with torch.no_grad():
            model.log_likelihood(z, x)

    def backward() -> None:
        leaf = z.detach().requires_grad_(True)
        torch.autograd.grad(model.log_likelihood(leaf, x).sum(), leaf)

    return (gradients * _time(backward) + passes * _time(forward)) / _ROWS


def _time(function: Callable[[], None]) -> float:
    """Seconds of a call, after one that is not timed."""
    function()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
