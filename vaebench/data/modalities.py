"""Items of several parts: data sets whose items belong together, one of each."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from vaebench.data.dataset import Dataset, subset
from vaebench.data.images import Images
from vaebench.data.text import Text
from vaebench.errors import UserError
from vaebench.models.items import Kind
from vaebench.models.modalities import Form, Layout


@dataclass(frozen=True)
class Tuples:
    """Stored items (N, S), their parts side by side, and what is known of them.

    Attributes:
        stored: The numbers of the parts, of the dtype that all can be had in.
        labels: A class (N,) for each, where there are classes.
        factors: What each was made from (N, F), integers counted from zero, where that is known.
    """

    stored: Tensor
    labels: Tensor | None = None
    factors: Tensor | None = None

    given: ClassVar[None] = None
    lengths: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.stored)


@dataclass(frozen=True)
class Modalities(Dataset):
    """Items of M parts, of the same class; `aligned` makes them from a data set for each part.

    Attributes:
        like: The data set of each part by name, without items.
        log_prob: Stored items (N, S), and by keyword the names `only` of some parts, to the
            log-density (N,) of these in nats, float64, where the source knows it.
        named: Of parts that name their class, stored ones (N, …) to it (N,), -1 where none.
    """

    like: Mapping[str, Dataset] = field(default_factory=dict)
    log_prob: Callable[..., Tensor] | None = None
    named: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    kind: ClassVar[Kind] = "modalities"

    @cached_property
    def layout(self) -> Layout:
        """Where the parts stand in an item."""
        return Layout({name: form(part) for name, part in self.like.items()})

    @cached_property
    def parts(self) -> dict[str, Any]:
        """The data set of each part, an `Images` or a `Text`, with the items that there are now."""
        held = {name: getattr(self, name) for name in ("train", "validation", "test", "outside")}
        found = {}
        for name, part in self.like.items():
            splits: Any = {which: self._of(name, split) for which, split in held.items()}
            found[name] = replace(part, **splits)
        return found

    def _of(self, name: str, split: Tuples | None) -> Any:
        """A part of the items of a split, with their classes."""
        if split is None:
            return None
        kind: Any = type(self.like[name].train)
        return kind(self.layout.stored(split.stored)[name], split.labels)

    @property
    def shape(self) -> tuple[int]:
        """S, the numbers of all parts."""
        return (self.layout.size,)

    @property
    def part(self) -> Any:
        """The shape of the first part of the kind that the backbone is asked for."""
        return next(part.shape for part in self.like.values() if part.kind == self.made_of)

    @property
    def made_of(self) -> Kind:
        """Pictures, or tokens where no part is a picture."""
        return "pictures" if any(p.kind == "pictures" for p in self.like.values()) else "tokens"

    @property
    def real(self) -> bool:
        """Whether all pictures are of real numbers."""
        return all(part.real for part in self.like.values() if part.kind == "pictures")

    @property
    def has_text(self) -> bool:
        """Whether a part is a text."""
        return any(part.has_text for part in self.like.values())

    def hash(self) -> str:
        """A digest of all that is used, in its order and split, and of what parts are."""
        said = [super().hash(), repr(self.layout)]
        said += [
            repr((part.vocabulary, part.separator))
            for part in self.like.values()
            if isinstance(part, Text)
        ]
        return hashlib.sha256(" ".join(said).encode()).hexdigest()[:16]


def form(part: Dataset) -> Form:
    """What a part is."""
    kind: Any = part.kind
    return Form(kind, tuple(part.shape), part.levels, part.kind == "pictures" and part.real)


def aligned(
    parts: Mapping[str, Dataset],
    *,
    log_prob: Callable[..., Tensor] | None = None,
    notes: tuple[str, ...] = (),
) -> Modalities:
    """Items made of one item of each data set, those that stand at the same place of a split.

    Labels are those of the first part that has some, and factors too.

    Args:
        parts: An `Images` or a `Text` for each part, by its name.
        log_prob: Stored items (N, S), and by keyword the names `only` of some parts, to the
            log-density (N,) of these in nats, float64.
        notes: Sentences on the whole, before those on its parts.

    Raises:
        UserError: There is no part, one is something else or has a condition, or their splits
            differ in length or class.

    Example:
        >>> from vaebench.data.images import Split
        >>> grey = Split(torch.zeros(6, 1, 8, 8, dtype=torch.uint8))
        >>> both = aligned({"left": Images(grey, grey, grey), "right": Images(grey, grey, grey)})
        >>> both.shape, both.parts["right"].shape
        ((128,), (1, 8, 8))
    """
    for name, part in parts.items():
        if not isinstance(part, Images | Text) or part.given:
            raise UserError(f"The part {name!r} is no data set of pictures or text alone.")
    if not parts:
        raise UserError("Items of several parts need a part.")
    layout = Layout({name: form(part) for name, part in parts.items()})
    splits: Any = {
        name: _together(layout, {key: getattr(part, name) for key, part in parts.items()}, name)
        for name in ("train", "validation", "test")
    }
    factors = next((part.factors for part in parts.values() if part.factors), ())
    return Modalities(
        **splits,
        levels=2,
        notes=(*notes, *dict.fromkeys(note for part in parts.values() for note in part.notes)),
        factors=factors,
        like={name: _emptied(part) for name, part in parts.items()},
        log_prob=log_prob,
    )


def _together(layout: Layout, splits: Mapping[str, Any], which: str) -> Tuples:
    counts = {len(split) for split in splits.values()}
    if len(counts) > 1:
        raise UserError(
            f"The parts have {sorted(counts)} items in their {which} splits; each needs as many."
        )
    labels = [split.labels for split in splits.values() if split.labels is not None]
    if any(not torch.equal(labels[0], other) for other in labels):
        raise UserError(f"The parts have other classes than each other in their {which} splits.")
    factors = [split.factors for split in splits.values() if split.factors is not None]
    stored = layout.joined({name: split.stored for name, split in splits.items()})
    return Tuples(stored, next(iter(labels), None), next(iter(factors), None))


def _emptied(part: Dataset) -> Dataset:
    """The data set of a part without its items and what is known of them."""
    bare: dict[str, Any] = {"factors": (), "notes": (), "outside": None}
    for name in ("train", "validation", "test"):
        bare[name] = subset(getattr(part, name), slice(0))
    if isinstance(part, Text):
        bare["log_prob"] = None
    return replace(part, **bare)
