"""Items: a batch of what log p(x) is of, and what is known of them besides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

#: What items are.
Kind = Literal["pictures", "tokens", "sets", "modalities"]
#: What one of them is called, by kind.
NOUNS: dict[Kind, str] = {
    "pictures": "image",
    "tokens": "sequence",
    "sets": "set",
    "modalities": "item",
}
#: What stands behind the end of a sequence of tokens.
PAD = -1


@dataclass(frozen=True)
class Seen:
    """What is known of B items besides themselves; None where nothing is.

    Attributes:
        given: The condition y of p(x|y), (B, G) as posterior, prior and decoder take it.
        labels: Classes (B,) that training may see, -1 where they are hidden.
        index: Places (B,) in the training split, -1 for other items.
    """

    given: Tensor | None = None
    labels: Tensor | None = None
    index: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Seen":
        """What is known, with each tensor of it changed."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return Seen(**{name: change(value) for name, value in known.items()})


#: What is known of items where nothing is.
NOTHING = Seen()


@dataclass(frozen=True)
class Items:
    """B items as a model meets them.

    Attributes:
        x: What they are observed as, (B, C, H, W) for pictures, (B, T) for tokens, (B, n, C, H, W)
            for sets, (B, S) for several modalities, whose parts stand side by side.
        seen: What is known of them; a condition that is a picture (B, C, H, W) becomes one of
            shape (B, G) in the model's `see`.

    Example:
        >>> pictures = Items(torch.zeros(5, 1, 8, 8), Seen(labels=torch.arange(5)))
        >>> len(pictures[:2]), pictures[:2].seen.labels
        (2, tensor([0, 1]))
    """

    x: Tensor
    seen: Seen = NOTHING

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> "Items":
        return self.map(lambda each: each[rows])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Items":
        """The items with each of their tensors changed."""
        return Items(change(self.x), self.seen.map(change))

    def to(self, device: torch.device) -> "Items":
        """The items on a device."""
        return self.map(lambda each: each.to(device, non_blocking=True))

    def split(self, size: int) -> Iterator["Items"]:
        """Parts of `size` items, the last one smaller where they cannot all be alike."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


def items(x: Items | Tensor) -> Items:
    """Items of which nothing else is known, where they are not some already."""
    return x if isinstance(x, Items) else Items(x)
