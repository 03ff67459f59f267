"""Runs one cell: resolve, train, measure, write. Never imports the driver."""

import errno
import platform
import resource
import shlex
import shutil
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from vaebench.compute import devices
from vaebench.compute.random import undisturbed
from vaebench.compute.ranks import Ranks
from vaebench.config.cell import Cell, Task
from vaebench.config.names import parse
from vaebench.config.resources import Place, Progress
from vaebench.data.modalities import Modalities
from vaebench.data.text import Text
from vaebench.errors import UserError
from vaebench.evaluation import gallery
from vaebench.execution import frozen, vocabulary
from vaebench.execution.measure import complete, restored
from vaebench.execution.peers import peers
from vaebench.models import weights
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.catalogue import catalogue
from vaebench.runs import files
from vaebench.runs.schema import DataRecord, Record, TrainRecord, VariantRecord
from vaebench.training.build import Resolved, resolve
from vaebench.training.checkpoint import Keeper
from vaebench.training.fit import Report as EpochReport
from vaebench.training.fit import Trained, fit
from vaebench.training.harness import Diverged
from vaebench.training.loggers import Trackers

VERSIONS = ("vaebench", "torch", "pytorch-lightning", "torchvision", "torch-fidelity", "numpy")


def run(task: Task, place: Place, folder: Path, progress: Progress) -> Record:
    """Train a cell unless it has been, and measure what its record lacks.

    A failure is a result too, with its reason. From the end of training on, the folder holds a
    result that nothing takes away.

    Returns:
        The content of ``result.json``.
    """
    progress(("starting", 0, 1))
    checkpoint = folder / "checkpoint"
    if files.trained(folder):
        checkpoint.unlink(missing_ok=True)
        return complete(folder, task, place, progress, lambda: restored(folder, task.cell, place))
    started = time.perf_counter()
    files.clear(folder)
    if not checkpoint.exists():
        shutil.rmtree(folder / "logs", ignore_errors=True)
    record = files.failure(task.cell, None)
    trackers = Trackers(place.loggers, task.cell, record["config"], folder)
    resolved = _train(record, task.cell, place, folder, progress, trackers)
    record["versions"], record["hardware"] = _versions(), _hardware(place)
    record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    record["timings"]["total"] = round(time.perf_counter() - started, 2)
    record = files.write_result(folder, record)
    checkpoint.unlink(missing_ok=True)
    if resolved is not None:
        record = complete(folder, task, place, progress, lambda: resolved)
    trackers.end(record)
    return record


def _train(
    record: Record,
    cell: Cell,
    place: Place,
    folder: Path,
    progress: Progress,
    trackers: Trackers,
) -> Resolved | None:
    """Train, or note in the record why that failed and return None."""
    try:
        resolved = _resolved(cell, place, folder)
        for note in resolved.images.notes:
            print(f"{files.OURS}{note}")
        record["variant"], record["data"] = _variant(resolved), _data(resolved)
        record["train"] = _trained(resolved, place, folder, progress, trackers)
        record["timings"]["train"] = record["train"]["seconds"]
        record["status"] = "done"
        return resolved
    except KeyboardInterrupt:
        raise
    # A plugin is a stranger's code: whatever it raises costs its own cell and nothing else.
    except BaseException as error:
        record["reason"] = _reason(error, cell)
        record["transient"] = of_machine(error)
        files.write_text(folder / "error.txt", traceback.format_exc())
        return None


def _resolved(
    cell: Cell, place: Place, folder: Path, device: torch.device | None = None
) -> Resolved:
    """The cell in a folder, ready to be trained."""
    resolved = resolve(cell, place, device)
    frozen.fill(resolved.model, folder.parents[1], cell)
    return resolved


def assist(cell: Cell, place: Place, folder: Path, ranks: Ranks) -> None:
    """Train a cell beside rank 0, which runs it and keeps the result."""
    resolved = _resolved(cell, place, folder, devices.of_rank(place.device, ranks.rank))
    _fit(resolved, lambda row, validated: None, _keeper(folder, place), ranks, place)


def _fit(
    resolved: Resolved, report: EpochReport, keeper: Keeper, ranks: Ranks, place: Place
) -> Trained:
    return fit(resolved, report, keeper, ranks, compile=place.compiled, replay=place.replay)


def _keeper(folder: Path, place: Place) -> Keeper:
    return Keeper(folder / "checkpoint", place.checkpoint_every)


def _variant(resolved: Resolved) -> VariantRecord:
    variant = resolved.variant
    owner = catalogue().owner(parse(variant.name)[0])
    return {
        "name": variant.name,
        "plugin": owner.name,
        "package": owner.package,
        "code": resolved.cell.code,
        "objective": getattr(variant.objective, "__name__", str(variant.objective)),
        "samples": variant.samples,
        "reference": variant.reference,
        "family": variant.family,
        "description": variant.description,
        "deviations": dict(variant.deviations),
        "penalties": list(variant.penalties),
        "networks": _own_networks(variant),
    }


def _own_networks(variant: Variant) -> str:
    """The name of the function that builds networks of the variant's own; empty without one."""
    make: Any = variant.networks
    while isinstance(make, partial):
        make = make.func
    return "" if make is None else f"{make.__module__}.{make.__qualname__}"


def _data(resolved: Resolved) -> DataRecord:
    images = resolved.images
    found: DataRecord = {
        "hash": resolved.cell.data,
        "train": len(images.train),
        "validation": len(images.validation),
        "test": len(images.test),
        "shape": list(images.shape),
        "levels": images.levels,
        "notes": list(images.notes),
    }
    if isinstance(images, Modalities):
        found["parts"] = [
            {
                "name": name,
                "kind": form.kind,
                "shape": list(form.shape),
                "levels": form.levels,
                "real": form.real,
            }
            for name, form in images.layout.forms.items()
        ]
    if images.train.given is not None:
        found |= {"given": images.given, "condition": list(images.train.given.shape[1:])}
    return found | {"classes": list(images.classes)} if images.classes else found


def _trained(
    resolved: Resolved, place: Place, folder: Path, progress: Progress, trackers: Trackers
) -> TrainRecord:
    """Train; write weights, history and film."""
    cell, model = resolved.cell, resolved.model
    players = {"critic": resolved.critic, "rival": resolved.rival}
    mine = {n: p for n, p in model.named_children() if not (model.frozen and n == "observation")}
    parts = mine | {name: p for name, p in players.items() if p is not None}
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    film = gallery.Film(folder, cell.seed, cell.epochs, resolved.images)

    def report(row: dict[str, float], validated: VAE) -> None:
        epochs = int(row["epoch"])
        if "likelihood" not in resolved.variant.deviations:
            film.take(validated, epochs)
        with undisturbed():
            trackers.row(row)
        progress(("training", epochs, cell.epochs))

    devices.forget_peak(resolved.device)
    with peers(cell, place, folder) as ranks:
        trained = _fit(resolved, report, _keeper(folder, place), ranks, place)
    for remark in trained.remarks:
        print(f"{files.OURS}{remark}")
    memory = devices.peak_memory(resolved.device)
    _write_training(resolved, trained, folder)
    return {
        "film": film.write(),
        "seconds": round(trained.seconds, 2),
        "epochs": len(trained.history),
        "best_epoch": trained.epoch,
        "decoder_passes": trained.decoder_passes,
        "peak_memory": None if memory is None else round(memory, 1),
        "parameters": parameters,
    }


def _write_training(resolved: Resolved, trained: Trained, folder: Path) -> None:
    history = pd.DataFrame(trained.history)
    files.write_text(folder / "history.csv", history.to_csv(index=False))
    if isinstance(text := resolved.images, Text):
        vocabulary.keep(folder, text)
    content = weights.pack(resolved.model, {"cell": resolved.cell.id})
    files.write_bytes(folder / "model.safetensors", content)


def _reason(error: BaseException, cell: Cell) -> str:
    """Why a cell failed, in a sentence."""
    reason = str(error)
    if not isinstance(error, UserError | Diverged):
        first = reason.strip().partition("\n")[0].rstrip(":")
        reason = f"{type(error).__name__}: {first}"
    if not isinstance(error, UserError | OSError | MemoryError):
        reason += f" (vaebench check {shlex.quote(cell.plugin)} looks for the cause)"
    return reason


#: Errors of the operating system that tell of the machine's state, not of the cell.
_MACHINE = {
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EIO",
        "ENOMEM",
        "EMFILE",
        "ENFILE",
        "EROFS",
        "ENOLCK",
        "ESTALE",
    )
}


def of_machine(error: BaseException) -> bool:
    """Whether an error tells of a full disk, of memory that ran out and the like.

    Memory that the user has limited runs out again, and is the cell's own.
    """
    limited = resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return error.errno != errno.ENOMEM or not limited
    refused = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return not limited and (refused or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError))


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _hardware(place: Place) -> dict[str, Any]:
    return {
        "device": devices.describe(devices.find(place.device)),
        "machine": platform.machine(),
        "threads": place.threads,
        "devices": place.devices,
    }
