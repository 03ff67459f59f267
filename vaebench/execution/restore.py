"""A cell's trained model, rebuilt from its record and its weights."""

import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from vaebench.config.names import parse
from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.data.modalities import Modalities, Tuples
from vaebench.data.sets import Sets
from vaebench.data.text import Sentences, Text
from vaebench.errors import UserError, short
from vaebench.models import weights
from vaebench.models.vae import VAE
from vaebench.registry.catalogue import catalogue
from vaebench.runs import files
from vaebench.runs.described import Described, described
from vaebench.runs.frozen import LARGEST
from vaebench.runs.schema import Record
from vaebench.training.build import CPU, Resolved, build


def restore(
    run: Path | str,
    record: Record,
    images: Dataset | None = None,
    device: torch.device = CPU,
) -> Resolved:
    """A cell with its trained model, in evaluation mode and without gradients of its weights.

    Args:
        run: The cell's run.
        record: The cell's record, from `records.cells`.
        images: Its data, where more than their shape is needed.
        device: Where the model shall be.

    Raises:
        UserError: The cell did not finish, its plugin is not installed, or its weights do not fit.

    Warns:
        UserWarning: The plugin's code has changed since.
    """
    name = record["cell"]
    if record["status"] != "done":
        reason = short(record["reason"] or "") or record["status"]
        raise UserError(f"{name} has no trained model: {reason.rstrip('.')}.")
    known = described(record)
    cell = known.cell
    installed = catalogue()
    variant = installed.variant(cell.plugin)
    trained_with = cell.code.partition("+")[0]
    if trained_with and trained_with != installed.owner(parse(cell.plugin)[0]).code:
        warnings.warn(
            f"The code of {cell.plugin} is not what trained {name}: what is computed now may "
            "differ from its table.",
            stacklevel=2,
        )
    resolved = build(cell, variant, images or _hollow(known), device)
    _fill(resolved.model, run, name)
    resolved.model.eval().requires_grad_(False).to(device)
    return resolved


def _hollow(known: Described) -> Dataset:
    """Items of the shapes that a model is built for, all zeros, which take no memory."""
    given = None
    if known.condition is not None:
        kind = torch.uint8 if len(known.condition) > 1 else torch.float32
        given = torch.zeros(1, dtype=kind).expand(known.items, *known.condition)
    if len(known.shape) == 2:
        length, symbols = known.shape
        tokens = torch.zeros(1, dtype=torch.int32).expand(known.items, length)
        text = Sentences(tokens, given=given)
        words = tuple(map(str, range(symbols)))
        return Text(text, text, text, classes=known.classes, vocabulary=words)
    if known.parts:
        return _hollow_parts(known)
    pixels = torch.zeros(1, dtype=torch.uint8).expand(known.items, *known.shape)
    split = Split(pixels, given=given)
    holding = Sets if len(known.shape) == 4 else Images
    return holding(split, split, split, known.levels, classes=known.classes)


def _hollow_parts(known: Described) -> Modalities:
    """Items of several parts, all zeros."""
    like: dict[str, Dataset] = {}
    for part in known.parts:
        shape = part["shape"]
        if part["kind"] == "tokens":
            text = Sentences(torch.zeros(0, shape[0], dtype=torch.int32))
            like[part["name"]] = Text(text, text, text, vocabulary=tuple(map(str, range(shape[1]))))
        else:
            kind = torch.float32 if part["real"] else torch.uint8
            split = Split(torch.zeros(0, *shape, dtype=kind))
            like[part["name"]] = Images(split, split, split, part["levels"])
    items = Tuples(torch.zeros(1).expand(known.items, *known.shape))
    return Modalities(items, items, items, known.levels, classes=known.classes, like=like)


def _fill(model: VAE, run: Path | str, name: str) -> None:
    """Load the weights of a cell into a model; UserError where they do not fit."""
    path = files.file(run, f"cells/{name}/model.safetensors", LARGEST)
    if path is None:
        raise UserError(
            f"{name} holds no model.safetensors; delete its folder and run the command again."
        )
    cell = Path(run) / "cells" / name
    about = files.read_json(cell / "result.json")
    if any(files.differing(cell, about, lambda file: file == path.name)):
        raise UserError(
            f"The weights of {name} are damaged: model.safetensors is not as it was written; "
            "delete its folder and run the command again."
        )
    try:
        kept = load(path.read_bytes())
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(
            f"The weights of {name} are damaged; delete its folder and run the command again."
        ) from error
    whole = weights.complete(model, kept)
    if whole is None:
        raise UserError(
            f"The weights of {name} do not fit its plugin as it is installed now; install the "
            "version that trained it, or run the command again."
        )
    if not all(value.isfinite().all() for value in whole.values() if value.is_floating_point()):
        raise UserError(f"The weights of {name} are not finite; delete its folder and run again.")
    model.load_state_dict(whole)
