"""A cell's trained model, rebuilt from its record and its weights, and what it is good for."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import seeded
from vaebench.config.names import parse
from vaebench.data import pictures
from vaebench.data.batches import observed
from vaebench.data.conditions import whole
from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.data.pictures import Picture
from vaebench.data.text import Sentences, Text
from vaebench.errors import UserError, short, unknown
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.models import weights
from vaebench.models.distributions import sampled
from vaebench.models.items import Items, Seen
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import source
from vaebench.runs import files
from vaebench.runs.described import Described, described
from vaebench.runs.schema import Record
from vaebench.training.build import CPU, Resolved, build

#: The largest file of weights that is read, in bytes.
LARGEST = 4 * 2**30
_CHUNK = 256


@dataclass(frozen=True)
class Codec:
    """A trained model that draws, encodes and decodes pictures.

    Attributes:
        model: On the CPU, in evaluation mode, without gradients of its weights.
        variant: The variant, configured.
        shape: Channels, height and width of its pictures.
        levels: L, the number of grey levels of its data.
        dataset: The name of its data set, which says how pictures are read.
        latent: D, the dimensions of its codes.
        given: What pictures are modelled given: ``label``, ``left`` for their left halves, or
            nothing.
        condition: The shape of that for a picture, where there is such a thing.
        classes: The labels that can be given.
    """

    model: VAE
    variant: Variant
    shape: tuple[int, int, int]
    levels: int
    dataset: str
    latent: int
    given: str = ""
    condition: tuple[int, ...] | None = None
    classes: tuple[int, ...] = ()

    def told(self, count: int, given: str | None = None) -> Tensor | None:
        """The condition (N, …) of N pictures, None for a model without one.

        Args:
            count: N.
            given: A class, or the path of a picture whose left half is meant; by default each
                class in turn.

        Raises:
            UserError: It is not what the model is told.
        """
        if self.condition is None:
            if given is not None:
                raise UserError(f"A cell of {self.dataset} is given nothing: leave out --given.")
            return None
        if self.given == "left":
            if given is None:
                raise UserError("Say which picture's left half is given: --given PICTURE.")
            return self.halves(self.read(Path(given))[None])[0].expand(count, -1, -1, -1)
        if self.given != "label":
            raise UserError(f"{self.dataset} has a condition of its own, which no flag can say.")
        names = [str(label) for label in self.classes]
        if given is not None and given not in names:
            raise unknown("class for --given:", given, names)
        chosen = torch.arange(count) % len(names) if given is None else names.index(given)
        rows = torch.as_tensor(chosen).expand(count)
        return torch.eye(len(names))[rows][:, : self.condition[0]]

    def halves(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, C, H, W) as their part that is given, and the rest."""
        width = pictures.shape[-1] - self.shape[-1]
        return pictures[..., :width], pictures[..., width:]

    def sample(self, count: int, seed: int = 0, given: str | None = None) -> Tensor:
        """Decoder means (N, C, H, W) in [0, 1] of N draws from the prior, beside what is given.

        Raises:
            UserError: The variant has no prior that describes its codes, or `told` raises one.
        """
        if "likelihood" in self.variant.deviations:
            why = self.variant.deviations["likelihood"]
            raise UserError(f"{self.variant.name} has nothing to sample from: {why}.")
        with seeded(seed, "samples"), torch.no_grad():
            return self.decode(sampled(self.prior(count, given), count), given)

    def prior(self, count: int, given: str | None = None) -> Distribution:
        """The prior of N codes, batch shape () or, where the condition decides, (N,)."""
        with torch.no_grad():
            return self.model.prior(self._under(count, self.told(count, given)))

    def _under(self, count: int, told: Tensor | None) -> Items:
        """Items of which nothing but their conditions is known."""
        return self.model.see(Items(torch.empty(count, 0), Seen(told)))

    def encode(self, x: Tensor, given: str | None = None) -> Tensor:
        """Posterior means (N, D) of pictures x (N, C, H, W) in [0, 1], observed as in training.

        Each picture is observed with the same noise, so that its code depends on it alone. Of
        pictures whose left halves are given both halves are taken from x.

        Raises:
            UserError: The model is told classes, and `given` does not say which.
        """
        told: Tensor | None
        if self.given == "left" and self.condition is not None:
            told, x = self.halves(x)
        elif self.given == "label" and given is None:
            raise UserError("Say of which class the pictures are: --given CLASS.")
        else:
            told = self.told(len(x), given)
        pixels = x.mul(self.levels - 1).round().to(torch.uint8)
        likelihood = self.model.likelihood
        seen = torch.cat([observed(Split(one), likelihood, "encode") for one in pixels.split(1)])
        with seeded(0, "encode"), torch.no_grad():
            return torch.cat(
                [
                    posterior_means(self.model.encode(part))[0]
                    for part in Items(seen, Seen(told)).split(_CHUNK)
                ]
            )

    def decode(self, z: Tensor, given: str | None = None) -> Tensor:
        """Decoder means (N, C, H, W) in [0, 1] for codes (N, D), beside what is given.

        Raises:
            UserError: `told` raises one.
        """
        told = self.told(len(z), given)
        with torch.no_grad():
            under = self._under(len(z), told)
            parts = zip(z.split(_CHUNK), under.split(_CHUNK), strict=True)
            return whole(torch.cat([self.model.pictures(*part) for part in parts]), told)

    def read(self, path: Path) -> Tensor:
        """A picture file as (C, H, W) in [0, 1], read as those of the data set were.

        Raises:
            UserError: It is not a picture.
        """
        return self.picture(path).pixels / 255

    def picture(self, path: Path) -> Picture:
        """A picture file with the model's channels and size, and what was changed for that.

        Raises:
            UserError: It is no picture, or whoever brought the data set is not installed.
        """
        channels, height, width = self.shape
        if self.given == "left" and self.condition is not None:
            width += self.condition[-1]
        found = pictures.read(path, (width, height), channels)
        if not source(self.dataset).inverted:
            return found
        return replace(found, pixels=255 - found.pixels, changes=(*found.changes, "inverted"))


def codec(run: Path | str, record: Record) -> Codec:
    """The trained model of a cell as a codec of pictures; UserError where `restore` raises one."""
    known = described(record)
    if len(known.shape) != 3:
        raise UserError(f"{record['cell']} is a model of sequences, not of pictures.")
    trained = restore(run, record)
    channels, height, width = known.shape
    return Codec(
        trained.model,
        trained.variant,
        (channels, height, width),
        known.levels,
        known.cell.dataset,
        known.cell.latent,
        record["data"].get("given", ""),
        known.condition,
        known.classes,
    )


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
    pixels = torch.zeros(1, dtype=torch.uint8).expand(known.items, *known.shape)
    split = Split(pixels, given=given)
    return Images(split, split, split, known.levels, classes=known.classes)


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
