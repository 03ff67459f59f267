"""What a trained model is good for: it draws items, encodes and decodes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import seeded
from vaebench.data import pictures
from vaebench.data.batches import observed
from vaebench.data.conditions import whole
from vaebench.data.images import Split
from vaebench.data.pictures import Picture
from vaebench.data.text import Text
from vaebench.data.text_file import lines
from vaebench.errors import UserError, unknown
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.evaluation.grid import grid
from vaebench.execution.restore import restore
from vaebench.execution.vocabulary import kept
from vaebench.models.distributions import sampled
from vaebench.models.items import Items, Seen
from vaebench.models.tokens import Tokens
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.lookup import source
from vaebench.runs.described import Described, described
from vaebench.runs.schema import Record

_CHUNK = 256
#: Words that are named of those that a vocabulary lacks.
_NAMED = 3


@dataclass(frozen=True)
class Codec:
    """A trained model that draws, encodes and decodes items.

    Attributes:
        model: On the CPU, in evaluation mode, without gradients of its weights.
        variant: The variant, configured.
        dataset: The name of its data set, which says how items are read.
        latent: D, the dimensions of its codes.
        given: What items are modelled given: ``label``, ``left`` for the left halves of pictures,
            or nothing.
        condition: The shape of that for an item, where there is such a thing.
        classes: The labels that can be given.
        noun: What is written in a table beside the codes of an item.
    """

    model: VAE
    variant: Variant
    dataset: str
    latent: int
    given: str
    condition: tuple[int, ...] | None
    classes: tuple[int, ...]
    noun: ClassVar[str]

    def told(self, count: int, given: str | None = None) -> Tensor | None:
        """The condition (N, …) of N items, None for a model without one.

        Args:
            count: N.
            given: A class; by default each class in turn.

        Raises:
            UserError: It is not what the model is told.
        """
        if self.condition is None:
            if given is not None:
                raise UserError(f"A cell of {self.dataset} is given nothing: leave out --given.")
            return None
        if self.given != "label":
            raise UserError(f"{self.dataset} has a condition of its own, which no flag can say.")
        names = [str(label) for label in self.classes]
        if given is not None and given not in names:
            raise unknown("class for --given:", given, names)
        chosen = torch.arange(count) % len(names) if given is None else names.index(given)
        rows = torch.as_tensor(chosen).expand(count)
        return torch.eye(len(names))[rows][:, : self.condition[0]]

    def prior(self, count: int, given: str | None = None) -> Distribution:
        """The prior of N codes, batch shape () or, where the condition decides, (N,)."""
        with torch.no_grad():
            return self.model.prior(self._under(count, self.told(count, given)))

    def codes(self, count: int, given: str | None = None) -> Tensor:
        """Draws (N, D) from the prior.

        Raises:
            UserError: The variant has no prior that describes its codes, or `told` raises one.
        """
        if "likelihood" in self.variant.deviations:
            why = self.variant.deviations["likelihood"]
            raise UserError(f"{self.variant.name} has nothing to sample from: {why}.")
        return sampled(self.prior(count, given), count)

    def sample(self, count: int, seed: int = 0, given: str | None = None) -> Any:
        """What N draws from the prior are decoded to, beside what is given.

        Raises:
            UserError: `codes` raises one.
        """
        raise NotImplementedError

    def encode(self, items: Any, given: str | None = None) -> Tensor:
        """Posterior means (N, D) of items, each observed as in training.

        Raises:
            UserError: The model is told classes, and `given` does not say which.
        """
        raise NotImplementedError

    def decode(self, z: Tensor, given: str | None = None) -> Any:
        """Items for codes (N, D), beside what is given.

        Raises:
            UserError: `told` raises one.
        """
        raise NotImplementedError

    def written(self, items: Any) -> bytes:
        """The content of a file that shows items."""
        raise NotImplementedError

    def found(self, paths: Sequence[Path]) -> tuple[list[str], Any, list[str]]:
        """What files are called or say, the items that they hold, and what has been changed.

        Raises:
            UserError: They cannot be read, or hold nothing that the model knows.
        """
        raise NotImplementedError

    def _under(self, count: int, told: Tensor | None) -> Items:
        """Items of which nothing but their conditions is known."""
        return self.model.see(Items(torch.empty(count, 0), Seen(told)))

    def _means(self, x: Tensor, told: Tensor | None) -> Tensor:
        with torch.no_grad():
            parts = Items(x, Seen(told)).split(_CHUNK)
            return torch.cat([posterior_means(self.model.encode(part))[0] for part in parts])


@dataclass(frozen=True)
class Pictures(Codec):
    """A trained model of pictures, which are tensors (N, C, H, W) in [0, 1].

    Attributes:
        shape: Channels, height and width.
        levels: L, the number of grey levels of its data.
    """

    shape: tuple[int, int, int]
    levels: int
    noun: ClassVar[str] = "picture"

    def told(self, count: int, given: str | None = None) -> Tensor | None:
        """As for any item; `given` may be the path of a picture whose left half is meant."""
        if self.given != "left" or self.condition is None:
            return super().told(count, given)
        if given is None:
            raise UserError("Say which picture's left half is given: --given PICTURE.")
        return self.halves(self.read(Path(given))[None])[0].expand(count, -1, -1, -1)

    def halves(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, C, H, W) as their part that is given, and the rest."""
        width = pictures.shape[-1] - self.shape[-1]
        return pictures[..., :width], pictures[..., width:]

    def sample(self, count: int, seed: int = 0, given: str | None = None) -> Tensor:
        """Decoder means (N, C, H, W)."""
        with seeded(seed, "samples"), torch.no_grad():
            return self.decode(self.codes(count, given), given)

    def encode(self, items: Tensor, given: str | None = None) -> Tensor:
        """Posterior means (N, D) of pictures.

        Each picture is observed with the same noise, so that its code depends on it alone. Where
        left halves are given both halves are taken from the pictures.
        """
        told: Tensor | None
        if self.given == "left" and self.condition is not None:
            told, items = self.halves(items)
        elif self.given == "label" and given is None:
            raise UserError("Say of which class the pictures are: --given CLASS.")
        else:
            told = self.told(len(items), given)
        pixels = items.mul(self.levels - 1).round().to(torch.uint8)
        likelihood = self.model.likelihood
        seen = torch.cat([observed(Split(one), likelihood, "encode") for one in pixels.split(1)])
        with seeded(0, "encode"):
            return self._means(seen, told)

    def decode(self, z: Tensor, given: str | None = None) -> Tensor:
        """Decoder means (N, C, H, W)."""
        told = self.told(len(z), given)
        with torch.no_grad():
            under = self._under(len(z), told)
            parts = zip(z.split(_CHUNK), under.split(_CHUNK), strict=True)
            return whole(torch.cat([self.model.pictures(*part) for part in parts]), told)

    def written(self, items: Tensor) -> bytes:
        """A PNG, 16 pictures to a line."""
        return grid(items)

    def found(self, paths: Sequence[Path]) -> tuple[list[str], Tensor, list[str]]:
        """Pictures, a file each, and which are not of the data set's size and colour."""
        read = [self.picture(path) for path in paths]
        others: dict[str, list[Path]] = {}
        for path, one in zip(paths, read, strict=True):
            width, height = one.original
            size = one.pixels.shape[2], one.pixels.shape[1]
            resized = f"{width}×{height} → {size[0]}×{size[1]}" if one.original != size else ""
            if width * size[1] != height * size[0]:
                resized += " (its middle)"
            if changes := ", ".join(filter(None, (resized, *one.changes))):
                others.setdefault(changes, []).append(path)
        remarks = []
        for changes, some in others.items():
            more = f" and {len(some) - 1} more" if len(some) > 1 else ""
            remarks.append(f"Converted {some[0]}{more}: {changes}.")
        return (
            [str(path) for path in paths],
            torch.stack([one.pixels for one in read]) / 255,
            remarks,
        )

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


@dataclass(frozen=True)
class Texts(Codec):
    """A trained model of sequences of tokens, which are written as texts.

    Attributes:
        text: Sequences of that length and vocabulary.
    """

    text: Text
    noun: ClassVar[str] = "text"

    def sample(self, count: int, seed: int = 0, given: str | None = None) -> list[str]:
        """Draws of p(x), each token from its probabilities."""
        with seeded(seed, "samples"), torch.no_grad():
            z = self.codes(count, given)
            return self._said(z, self.told(count, given), self._observation.sample)

    def encode(self, items: Sequence[str], given: str | None = None) -> Tensor:
        """Posterior means (N, D) of texts, whose words are looked up in the vocabulary."""
        if self.given == "label" and given is None:
            raise UserError("Say of which class the texts are: --given CLASS.")
        return self._means(self.text.tokens(items), self.told(len(items), given))

    def decode(self, z: Tensor, given: str | None = None) -> list[str]:
        """The most probable continuations of nothing, token by token."""
        return self._said(z, self.told(len(z), given), self._observation.likely)

    def written(self, items: Sequence[str]) -> bytes:
        """Lines of UTF-8."""
        return "".join(f"{line}\n" for line in items).encode()

    def found(self, paths: Sequence[Path]) -> tuple[list[str], list[str], list[str]]:
        """The lines of files but for blank ones, and which of their words are not known."""
        said = [line.strip() for path in paths for line in lines(path) if line.strip()]
        if not said:
            raise UserError(f"{paths[0]} holds no text; write a sentence a line.")
        words = [word for line in said for word in self.text.split(line)]
        known = set(self.text.vocabulary)
        others = [word for word in words if word not in known]
        some = ", ".join(map(repr, list(dict.fromkeys(others))[:_NAMED]))
        remark = f"{len(others)} of {len(words)} words are not in the vocabulary, such as {some}."
        return said, said, [remark] if others else []

    @property
    def _observation(self) -> Tokens:
        found = self.model.observation
        assert isinstance(found, Tokens)
        return found

    def _said(self, z: Tensor, told: Tensor | None, decoded: Any) -> list[str]:
        under = self._under(len(z), told)
        parts = zip(z.split(_CHUNK), under.split(_CHUNK), strict=True)
        return [line for part in parts for line in self.text.words(decoded(self.model.told(*part)))]


def codec(run: Path | str, record: Record) -> Codec:
    """The trained model of a cell as a codec of its items; UserError where `restore` raises one."""
    known = described(record)
    if known.kind in ("sets", "modalities"):
        what = "sets" if known.kind == "sets" else "several modalities"
        raise UserError(
            f"{record['cell']} is a model of {what}, which no command samples, encodes or decodes: "
            "the page shows what it draws, and `vaebench.load` has the model."
        )
    make = _texts if known.kind == "tokens" else _pictures
    return make(run, record, known)


def _pictures(run: Path | str, record: Record, known: Described) -> Pictures:
    trained = restore(run, record)
    channels, height, width = known.shape
    shape = (channels, height, width)
    return Pictures(
        trained.model, trained.variant, *_common(record, known), shape=shape, levels=known.levels
    )


def _texts(run: Path | str, record: Record, known: Described) -> Texts:
    text = kept(run, record["cell"], known)
    trained = restore(run, record)
    return Texts(trained.model, trained.variant, *_common(record, known), text=text)


def _common(record: Record, known: Described) -> tuple[str, int, str, Any, tuple[int, ...]]:
    cell, given = known.cell, record["data"].get("given", "")
    return cell.dataset, cell.latent, given, known.condition, known.classes
