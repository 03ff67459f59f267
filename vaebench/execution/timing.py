"""How long cells may take, from a few steps of training and a few images of evaluation."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from vaebench.compute import devices
from vaebench.config.cell import Task
from vaebench.config.resources import Place
from vaebench.data.dataset import subset
from vaebench.errors import UserError
from vaebench.execution.evaluation_time import phases
from vaebench.execution.forecast import TRAINING
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build, read
from vaebench.training.fit import fit
from vaebench.training.harness import Diverged

#: Steps that are timed, after as many that are not.
STEPS = 4
#: Seconds after which no further cell is tried.
PATIENCE = 60.0


def rehearse(tasks: Sequence[Task], place: Place) -> list[dict[str, float] | str | None]:
    """Seconds of each phase of a task; why it fails; None if not tried."""
    torch.set_num_threads(place.threads)
    end = time.monotonic() + PATIENCE
    found: list[dict[str, float] | str | None] = []
    for task in tasks:
        try:
            found.append(_seconds(task, place) if time.monotonic() < end else None)
        # A variant that fails does so again in the run, where it costs its own cells.
        except (Exception, SystemExit) as error:
            known = isinstance(error, UserError | Diverged)
            found.append(str(error) if known else f"{type(error).__name__}: {error}")
    return found


def _seconds(task: Task, place: Place) -> dict[str, float]:
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
    return {TRAINING: training, **phases(resolved, task.evaluation, place, images)}
