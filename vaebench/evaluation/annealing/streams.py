"""A stream of random numbers for each image, so that no image's numbers depend on another's."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

import torch
from torch import Tensor
from torch.distributions import Distribution

_PURPOSES = (
    "points",
    "pilot",
    "prior pilot",
    "run",
    "reverse",
    "exact",
    "spread",
    *(f"mode {k}" for k in range(16)),
    "search",
    "wider pilot",
    "wider run",
)
_MASK = (1 << 64) - 1


def _mixed(value: int) -> int:
    """SplitMix64 of a 64-bit number: neighbouring seeds give unrelated ones."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Streams:
    """Independent random streams for a set of images, the same on every call order of chunks.

    Numbers are drawn in float32 and given in the asked precision, so that a float32 and a float64
    decoder meet the same noise.

    Args:
        seeds: One number for each image.
        purpose: Separates the streams of one image, such as pilot and estimating run.
        device: Where the numbers are drawn.
    """

    def __init__(self, seeds: Sequence[int], purpose: int, device: torch.device) -> None:
        self._device = device
        self._generators = [
            torch.Generator(device).manual_seed(_mixed(_mixed(seed) + purpose) >> 32)
            for seed in seeds
        ]

    def _stack(self, shape: tuple[int, ...], fill: str, dtype: torch.dtype) -> Tensor:
        block = torch.empty((len(self._generators), *shape), device=self._device)
        for row, generator in zip(block, self._generators, strict=True):
            getattr(row, fill)(generator=generator)
        return block.movedim(0, len(shape) - 1 if fill == "normal_" else len(shape)).to(dtype)

    def normal(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Standard normal numbers (*shape[:-1], B, shape[-1])."""
        return self._stack(shape, "normal_", dtype)

    def draw(
        self, distribution: Distribution, draws: int, images: Iterable[int] | Tensor | None = None
    ) -> Tensor:
        """Draws (draws, B, D) from a distribution with batch shape ().

        Or, of one with a batch shape, from those of its members that `images` (B,) names.
        """
        members = repeat(None) if images is None else (int(image) for image in images)
        each = []
        for generator, member in zip(self._generators, members, strict=False):
            seed = torch.randint(2**31, (), generator=generator, device=self._device)
            with seeded(int(seed)):
                drawn = distribution.sample(torch.Size((draws,)))
            each.append(drawn if member is None else drawn[:, member])
        return torch.stack(each, 1)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (*shape, B), float64."""
        return self._stack(shape, "uniform_", torch.float64)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's global generators start from `seed`, and give them back as they were."""
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(cuda):
        torch.manual_seed(seed)
        yield


def seeds_of(seed: int, batch: int) -> list[int]:
    """A seed for each of the images 0 … batch - 1 of a run."""
    return [_mixed(seed) ^ index for index in range(batch)]


class Random:
    """The random streams of a run: one for each image and purpose."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.seeds = seeds
        self.device = device

    def __call__(self, purpose: str) -> Streams:
        """Fresh streams for a purpose, the same each time."""
        return Streams(self.seeds, _PURPOSES.index(purpose), self.device)

    def take(self, images: Tensor) -> "Random":
        """The streams of some of the images."""
        return Random([self.seeds[i] for i in images.tolist()], self.device)
