"""How long trainings may take, from a few steps of each."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from vaebench.compute import devices
from vaebench.config.cell import Cell
from vaebench.config.resources import Place
from vaebench.data.images import Images, Split
from vaebench.errors import UserError
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build, read
from vaebench.training.fit import fit
from vaebench.training.harness import Diverged

#: Steps that are timed, after as many that are not.
STEPS = 4
#: Seconds after which no further cell is tried.
PATIENCE = 60.0


def rehearse(cells: Sequence[Cell], place: Place) -> list[float | str | None]:
    """The seconds that training each cell may take, why it fails, or None if it was not tried."""
    torch.set_num_threads(place.threads)
    end = time.monotonic() + PATIENCE
    found: list[float | str | None] = []
    for cell in cells:
        try:
            found.append(_seconds(cell, place) if time.monotonic() < end else None)
        # A variant that fails does so again in the run, where it costs its own cells.
        except (Exception, SystemExit) as error:
            known = isinstance(error, UserError | Diverged)
            found.append(str(error) if known else f"{type(error).__name__}: {error}")
    return found


def _seconds(cell: Cell, place: Place) -> float:
    if cell.seconds is not None:
        return cell.seconds
    images = read(cell, place)
    size = min(cell.batch_size, len(images.train))
    few = Images(
        Split(images.train.pixels[: STEPS * size]),
        Split(images.validation.pixels[:size]),
        Split(images.test.pixels[:1]),
        images.levels,
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
    return step * math.ceil(count)
