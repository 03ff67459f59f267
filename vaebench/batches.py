"""Batches of observed images, from memory, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vaebench.data import Split
from vaebench.likelihoods import Likelihood, grey
from vaebench.seeds import generator

#: Fixed binarisation, validation and test noise are the same in every cell and seed.
EVALUATION_SEED = 0


def observed(split: Split, likelihood: Likelihood, purpose: str) -> Tensor:
    """The whole split observed once, the same whatever the cell's seed, float32."""
    return likelihood.observe(split.pixels, generator(EVALUATION_SEED, "observe", purpose))


class Batches:
    """Iterates over (grey, x), each (B, C, H, W): the picture and what the encoder sees of it.

    Each pass is a new epoch: a permutation and observation noise that are functions of (seed,
    epoch, position), whatever else draws random numbers. The last, smaller batch is left out.

    Args:
        split: The images.
        likelihood: Says how pixels are observed.
        size: B; the whole split if that is smaller.
        seed: The cell's seed.
        fixed: Observe once and for all instead of anew in every epoch.
        device: Where the images are kept and the batches come from.
    """

    def __init__(
        self,
        split: Split,
        likelihood: Likelihood,
        size: int,
        seed: int,
        fixed: bool,
        device: torch.device,
    ) -> None:
        self.pixels = split.pixels
        self.likelihood = likelihood
        self.size = min(size, len(split))
        self.seed = seed
        self.device = device
        self.epoch = 0
        self._position = 0
        self._skip = 0
        self.once = observed(split, likelihood, "train") if fixed else None

    def __len__(self) -> int:
        return len(self.pixels) // self.size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, start, self._skip = self.epoch, self._skip, 0
        order = torch.randperm(len(self.pixels), generator=generator(self.seed, "order", epoch))
        parts = order[: len(self) * self.size].split(self.size)
        for index, chosen in list(enumerate(parts))[start:]:
            # What comes after the last batch is the next epoch.
            self.epoch, self._position = divmod(epoch * len(self) + index + 1, len(self))
            pixels = self.pixels[chosen]
            noise = generator(self.seed, "observe", epoch, index)
            x = self.likelihood.observe(pixels, noise) if self.once is None else self.once[chosen]
            yield (
                grey(pixels, self.likelihood.levels).to(self.device, non_blocking=True),
                x.to(self.device, non_blocking=True),
            )

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches are given out; Lightning puts it in checkpoints."""
        return {"epoch": self.epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were given out."""
        self.epoch, self._skip = state["epoch"], state["position"]
