"""Runs one cell: data, training, evaluation, and what is kept of them. Never imports the driver."""

import math
import platform
import shlex
import shutil
import sys
import time
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from vaebench.compute import devices
from vaebench.compute.random import undisturbed
from vaebench.compute.ranks import Ranks
from vaebench.config.cell import Cell
from vaebench.config.resources import Place, Progress
from vaebench.data.images import Images, Request
from vaebench.errors import UserError
from vaebench.evaluation import gallery
from vaebench.evaluation.metrics.select import evaluate, select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.execution.peers import peers
from vaebench.models import weights
from vaebench.models.variant import Variant
from vaebench.registry import lookup
from vaebench.registry.catalogue import catalogue
from vaebench.runs import files
from vaebench.training.build import build
from vaebench.training.fit import fit
from vaebench.training.harness import Diverged
from vaebench.training.loggers import Trackers

VERSIONS = ("vaebench", "torch", "pytorch-lightning", "torchvision", "torch-fidelity", "numpy")


def run(cell: Cell, place: Place, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run a cell and write its folder; a failure is a result too, with its reason.

    Returns:
        The content of ``result.json``.
    """
    started = time.perf_counter()
    progress(("starting", 0, 1))
    files.clear(folder)
    if not (folder / "checkpoint").exists():
        shutil.rmtree(folder / "logs", ignore_errors=True)
    record = files.failure(cell, None)
    trackers = Trackers(place.loggers, cell, record["config"], folder)
    try:
        record |= _finish(cell, place, folder, progress, trackers)
        record["status"] = "done"
    except KeyboardInterrupt:
        raise
    # A plugin is a stranger's code: whatever it raises costs its own cell and nothing else.
    except BaseException as error:
        reason = str(error)
        if not isinstance(error, UserError | Diverged):
            first = reason.strip().partition("\n")[0].rstrip(":")
            reason = f"{type(error).__name__}: {first}"
        if not isinstance(error, UserError | OSError | MemoryError):
            reason += f" (vaebench check {shlex.quote(cell.plugin)} looks for the cause)"
        sys.stdout.flush()
        said = files.last_lines(folder / "log.txt")
        record["reason"] = f"{reason}; its log ends: {said}" if said else reason
        files.write_text(folder / "error.txt", traceback.format_exc())
    record["versions"] = {name: version(name) for name in VERSIONS} | {
        "python": platform.python_version()
    }
    record["hardware"] = {
        "device": devices.describe(devices.find(place.device)),
        "machine": platform.machine(),
        "threads": place.threads,
        "devices": place.devices,
    }
    record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    record.setdefault("timings", {})["total"] = round(time.perf_counter() - started, 2)
    trackers.end(record)
    record = files.write_result(folder, record)
    (folder / "checkpoint").unlink(missing_ok=True)
    return record


def _given(cell: Cell, place: Place) -> tuple[Variant, Images]:
    """A cell's variant and data."""
    variant = catalogue().variant(cell.plugin)
    images = lookup.load(cell.dataset, Request(place.root, place.download, cell.image_size))
    if images.hash() != cell.data:
        raise UserError("the data set has changed since the run was planned; start the run again")
    torch.set_num_threads(_threads(cell, images, place.threads))
    return variant, images


def assist(cell: Cell, place: Place, folder: Path, ranks: Ranks) -> None:
    """Train a cell beside rank 0, which runs it and keeps the result."""
    variant, images = _given(cell, place)
    model, critic = build(cell, variant, images)
    device = devices.of_rank(place.device, ranks.rank)
    checkpoint, every = folder / "checkpoint", place.checkpoint_every
    fit(cell, variant, images, model, critic, device, lambda row: None, checkpoint, every, ranks)


def _finish(
    cell: Cell, place: Place, folder: Path, progress: Progress, trackers: Trackers
) -> dict[str, Any]:
    device = devices.find(place.device)
    variant, images = _given(cell, place)
    owner = catalogue().owner(variant.name.partition("[")[0])

    model, critic = build(cell, variant, images)
    parameters = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    } | ({"critic": sum(p.numel() for p in critic.parameters())} if critic else {})
    film = gallery.Film(folder, cell.seed, cell.epochs)

    def trained_for(row: dict[str, float]) -> None:
        epochs = int(row["epoch"])
        if "likelihood" not in variant.deviations:
            film.take(model, epochs)
        with undisturbed():
            trackers.row(row)
        progress(("training", epochs, cell.epochs))

    devices.forget_peak(device)
    checkpoint, every = folder / "checkpoint", place.checkpoint_every
    with peers(cell, place, folder) as ranks:
        trained = fit(
            cell, variant, images, model, critic, device, trained_for, checkpoint, every, ranks
        )
    memory = devices.peak_memory(device)
    history = pd.DataFrame(trained.history)
    files.write_text(folder / "history.csv", history.to_csv(index=False))
    files.write_bytes(folder / "model.safetensors", weights.pack(model, {"cell": cell.id}))

    model.eval().requires_grad_(False)
    subject = Subject(
        model=model,
        variant=variant,
        images=images,
        seed=cell.seed,
        observation=observation(cell),
        extractor_name=cell.extractor,
        weights=place.fid_weights,
        download=place.download,
        iw_samples=cell.iw_samples,
        iw_images=cell.iw_images,
        ais_images=cell.ais_images,
        ais_target=cell.ais_target,
        ais_budget=cell.ais_budget,
    )
    metrics = select(cell.metrics)
    timings = {"train": round(trained.seconds, 2)}
    records = evaluate(
        subject, metrics, timings, lambda done: progress(("evaluating", done, len(metrics)))
    )
    per_image = {
        name: pd.Series(values.tolist())
        for name, one in records.items()
        if (values := one.pop("per_image")) is not None
    }
    if per_image:
        frame = pd.DataFrame(per_image)
        files.write_text(folder / "per_image.csv", frame.to_csv(index_label="index"))
    gallery.write(subject, folder)
    epochs = film.write()
    return {
        "variant": {
            "name": variant.name,
            "plugin": owner.name,
            "package": owner.package,
            "code": cell.code,
            "objective": getattr(variant.objective, "__name__", str(variant.objective)),
            "samples": variant.samples,
            "reference": variant.reference,
            "deviations": dict(variant.deviations),
            "penalties": list(variant.penalties),
        },
        "data": {
            "hash": cell.data,
            "train": len(images.train),
            "validation": len(images.validation),
            "test": len(images.test),
            "shape": list(images.shape),
            "levels": images.levels,
        },
        "metrics": records,
        "train": {
            "film": epochs,
            "seconds": round(trained.seconds, 2),
            "epochs": len(trained.history),
            "best_epoch": trained.epoch,
            "decoder_passes": trained.decoder_passes,
            "peak_memory": None if memory is None else round(memory, 1),
            "parameters": parameters,
        },
        "timings": timings,
    }


def _threads(cell: Cell, images: Images, available: int) -> int:
    """One thread where batches are so small that waiting for each other costs threads more."""
    pixels = cell.batch_size * math.prod(images.shape[1:])
    return available if pixels >= 2**15 else 1


def observation(cell: Cell) -> str:
    """Observation model and binarisation in words: what a likelihood depends on."""
    return cell.likelihood + ("" if cell.binarise == "none" else f", {cell.binarise} binarisation")
