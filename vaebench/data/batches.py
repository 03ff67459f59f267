"""Batches of observed images, from memory, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from vaebench.compute import devices
from vaebench.compute.random import generator
from vaebench.compute.ranks import ALONE, Ranks
from vaebench.data import mapped
from vaebench.data.dataset import subset
from vaebench.data.observation import grey, met
from vaebench.errors import UserError
from vaebench.models.items import Items, Seen
from vaebench.models.likelihoods import Likelihood
from vaebench.models.modalities import Joint

#: Fixed binarisation, validation and test noise are the same in every cell and seed.
EVALUATION_SEED = 0
#: Batches that sequences are sorted among by their length.
_WINDOW = 50


def observed(split: Any, likelihood: Likelihood | Joint, purpose: str) -> Tensor:
    """The whole split observed once, the same whatever the cell's seed: float32, tokens int64."""
    return _observed(split, likelihood, generator(EVALUATION_SEED, "observe", purpose))


def _observed(split: Any, likelihood: Likelihood | Joint, noise: torch.Generator) -> Tensor:
    kind = torch.int64 if likelihood.takes == "tokens" else torch.float32
    found = torch.empty(split.stored.shape, dtype=kind)
    for some, stored in zip(found.split(512), split.stored.split(512), strict=True):
        some.copy_(met(likelihood, stored, noise))
    return found


def some_of(split: Any, likelihood: Likelihood | Joint, purpose: str, rows: int) -> Iterator[Items]:
    """The items of `items_of`, `rows` at a time, which is a multiple of 512."""
    noise = generator(EVALUATION_SEED, "observe", purpose)
    for start in range(0, len(split), rows):
        part = subset(split, slice(start, start + rows))
        yield Items(_observed(part, likelihood, noise), seen(part, likelihood.levels))
        mapped.release()


def condition(given: Tensor, levels: int) -> Tensor:
    """What items are modelled given as float32: numbers (N, G), or grey values (N, C, H, W)."""
    return grey(given, levels) if given.ndim > 2 else given.float()


def seen(split: Any, levels: int) -> Seen:
    """What evaluation knows of a split's images besides: the conditions."""
    return Seen(None if split.given is None else condition(split.given, levels))


def items_of(split: Any, likelihood: Likelihood | Joint, purpose: str) -> Items:
    """The whole split as a model meets it in evaluation; `purpose` seeds the noise."""
    found = Items(observed(split, likelihood, purpose), seen(split, likelihood.levels))
    mapped.release()
    return found


class Batches:
    """Iterates over (stored, items): B items as stored, and as a model meets them in training.

    Each pass is a new epoch: a permutation and observation noise that are functions of (seed,
    epoch, position), whatever else draws random numbers. The last, smaller batch is left out. A
    batch of sequences has nearly the same length, so that little of it is padding.

    Args:
        split: The items.
        likelihood: Says how pixels are observed.
        size: B; the whole split if that is smaller.
        seed: The cell's seed.
        fixed: Observe once and for all instead of anew in every epoch.
        device: Where batches come to, and all images are kept if they fit.
        ranks: Who shares each batch; this rank's part of it is given out, but for labels and
            places, which are those of the whole batch.
        labels: Classes (N,) that training may see, -1 where they are hidden.

    Raises:
        UserError: The batches cannot be divided among the ranks.
    """

    def __init__(
        self,
        split: Any,
        likelihood: Likelihood | Joint,
        size: int,
        seed: int,
        fixed: bool,
        device: torch.device,
        ranks: Ranks = ALONE,
        labels: Tensor | None = None,
    ) -> None:
        self.likelihood = likelihood
        self.size = min(size, len(split))
        if self.size % ranks.size:
            raise UserError(
                f"Batches of {self.size} images cannot be divided among {ranks.size} --devices; "
                "choose a --batch-size that can."
            )
        self.ranks = ranks
        self.seed = seed
        self.device = device
        self.epoch = 0
        self._position = 0
        self._skip = 0
        bytes_a_pixel = 5 if fixed else 1
        fits = devices.has_room(device, bytes_a_pixel * split.stored.numel())
        home = device if fits else torch.device("cpu")
        self.stored = split.stored.to(home)
        self.lengths = split.lengths
        self.once = observed(split, likelihood, "train").to(home) if fixed else None
        self.given = None if split.given is None else split.given.to(home)
        self.labels = labels

    def __len__(self) -> int:
        return len(self.stored) // self.size

    @property
    def first(self) -> int:
        """The batch of an epoch that the next pass begins with."""
        return self._skip

    def __iter__(self) -> Iterator[tuple[Tensor, Items]]:
        epoch, start, self._skip, ranks = self.epoch, self._skip, 0, self.ranks
        order = torch.randperm(len(self.stored), generator=generator(self.seed, "order", epoch))
        parts = order[: len(self) * self.size].split(self.size)
        if self.lengths is not None:
            parts = alike(parts, self.lengths, generator(self.seed, "lengths", epoch))
        for number, chosen in list(enumerate(parts))[start:]:
            # What comes after the last batch is the next epoch.
            self.epoch, self._position = divmod(epoch * len(self) + number + 1, len(self))
            index, chosen = chosen, chosen.to(self.stored.device)
            stored = mapped.rows(self.stored, chosen)
            if self.once is None:
                noise = generator(self.seed, "observe", epoch, number)
                x = met(self.likelihood, stored, noise)
            else:
                x = self.once.index_select(0, chosen)
            given = None
            if self.given is not None:
                picked = self.given.index_select(0, chosen)
                given = ranks.mine(condition(picked, self.likelihood.levels))
            labels = None if self.labels is None else self.labels[index]
            items = Items(ranks.mine(x), Seen(given, labels, index))
            yield ranks.mine(stored).to(self.device, non_blocking=True), items.to(self.device)

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches are given out; Lightning puts it in checkpoints."""
        return {"epoch": self.epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were given out."""
        self.epoch, self._skip = state["epoch"], state["position"]


def alike(parts: Sequence[Tensor], lengths: Tensor, noise: torch.Generator) -> list[Tensor]:
    """Batches with the same items, sorted by length among `_WINDOW` of them at a time.

    Args:
        parts: Batches of items' numbers, of one size.
        lengths: The length (N,) of each item.
        noise: Of the order of the batches.
    """
    found: list[Tensor] = []
    for first in range(0, len(parts), _WINDOW):
        some = torch.cat(list(parts[first : first + _WINDOW]))
        some = some[lengths[some].argsort(stable=True)]
        found += some.split(len(parts[first]))
    return [found[place] for place in torch.randperm(len(found), generator=noise)]


class Groups:
    """The batches of an epoch, several to an item, each made when its turn comes.

    A training loop's own work for an item is then shared by several steps.

    Args:
        batches: What is grouped.
        size: Batches in an item; fewer in the last one of an epoch.
    """

    def __init__(self, batches: Batches, size: int) -> None:
        self.batches = batches
        self.size = size

    def __len__(self) -> int:
        return -(-len(self.batches) // self.size)

    def __iter__(self) -> Iterator[Iterator[tuple[Tensor, Items]]]:
        batches, first = iter(self.batches), self.batches.first
        for _ in range(first, len(self.batches), self.size):
            yield islice(batches, self.size)

    def state_dict(self) -> dict[str, int]:
        """The state of the batches."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were given out."""
        self.batches.load_state_dict(state)
