"""Sets of images of one class, as items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.errors import UserError
from vaebench.models.items import Kind


@dataclass(frozen=True)
class Sets(Dataset):
    """Sets in memory: three splits of `Split`, whose pixels are (N, n, C, H, W).

    Pixels are stored levels, uint8, or real numbers, float32, which are observed as they are.

    Attributes:
        log_prob: Stored sets (N, m, C, H, W) of any m to their log-density (N,) in nats, float64,
            where the source knows it.

    Example:
        >>> some = Split(torch.zeros(6, 5, 1, 8, 8, dtype=torch.uint8))
        >>> sets = Sets(some, some, some, levels=17)
        >>> sets.shape, sets.part, sets.elements
        ((5, 1, 8, 8), (1, 8, 8), 5)
    """

    log_prob: Callable[[Tensor], Tensor] | None = None
    kind: ClassVar[Kind] = "sets"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Elements, channels, height, width."""
        elements, channels, height, width = self.train.pixels.shape[1:]
        return elements, channels, height, width

    @property
    def part(self) -> tuple[int, int, int]:
        """Channels, height, width of an element."""
        return self.shape[1:]

    @property
    def made_of(self) -> Kind:
        """Pictures."""
        return "pictures"

    @property
    def elements(self) -> int:
        """n, the number of elements of a set."""
        return self.shape[0]

    @property
    def members(self) -> int:
        """The number of training images that a class has, on average; without classes n."""
        labels = self.train.labels
        if labels is None:
            return self.elements
        return round(len(self.train) * self.elements / len(labels.unique()))


def grouped(what: str, images: Dataset, elements: int) -> Sets:
    """Disjoint sets of images of one class, in each split.

    Each class puts its images into sets in the order in which they stand, and sets stand in the
    order of their last images, so that sets of one are the images. What remains of a class is left
    out.

    Args:
        what: The data set in words, for errors.
        images: The data set.
        elements: n, the number of images of a set.

    Raises:
        UserError: It has no pictures or no classes, or a split has no class of so many images.
    """
    if not isinstance(images, Images):
        raise UserError(f"{what} has no single pictures that sets can be made of: leave out sets.")
    if images.given:
        raise UserError(f"{what} comes with a condition of its own, which sets cannot have.")
    if elements < 1:
        raise UserError(f"{what} cannot have sets of {elements}: sets takes a number from 1 on.")
    splits = (images.train, images.validation, images.test)
    names = ("train", "validation", "test")
    train, validation, test = (
        _sets(what, name, split, elements) for name, split in zip(names, splits, strict=True)
    )
    rest = sum(map(len, splits)) - elements * sum(map(len, (train, validation, test)))
    note = f"An item is a set of {elements} {'image' if elements == 1 else 'images of one class'}"
    left = f"; {rest} images, too few of their class and split for another one, are left out"
    return Sets(
        train,
        validation,
        test,
        levels=images.levels,
        outside=images.outside and _sets(what, "left-out", images.outside, elements),
        notes=(*images.notes, f"{note}{left if rest else ''}."),
    )


def _sets(what: str, name: str, split: Split, elements: int) -> Split:
    if split.labels is None:
        raise UserError(f"{what} has no classes: sets are of images of one class.")
    rows = chosen(split.labels, elements)
    if not len(rows):
        raise UserError(
            f"{what} has no class of {elements} images in its {name} split: ask for smaller sets."
        )
    return Split(split.pixels[rows], split.labels[rows[:, 0]])


def chosen(labels: Tensor, elements: int) -> Tensor:
    """The items (N, n) of each set, of one label each, in the order of `grouped`."""
    found = []
    for label in labels.unique():
        mine = (labels == label).nonzero()[:, 0]
        found.append(mine[: len(mine) // elements * elements].reshape(-1, elements))
    rows = torch.cat(found)
    return rows[rows[:, -1].argsort()]
