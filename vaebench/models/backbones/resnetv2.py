"""Pre-activation residual networks (He et al. 2016) that build themselves from the image shape.

Group normalisation stands in for batch normalisation: with the latter, images and draws of a batch
would share statistics, and neither the bound nor the likelihood would be that of one image.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vaebench.errors import UserError

SMALLEST, LARGEST = 8, 256
#: Numbers of the largest map that are made at a time on a CPU without gradients.
_NUMBERS = 2**22


def sides(length: int) -> list[int]:
    """The side lengths from an image's own down to about 4: 28, 14, 7, 4."""
    found = [length]
    while found[-1] > 4:
        found.append(-(-found[-1] // 2))
    return found


def _channels(width: int, levels: int) -> list[int]:
    """Channels on each level: doubled twice at most."""
    return [width * min(2**level, 4) for level in range(levels)]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 8), channels)


def _together(largest: int) -> int:
    """Pictures at a time whose largest map has so many numbers, for memory's sake.

    Convolutions of fewer than 16 are computed in other ways, with other last digits.
    """
    return max(16, _NUMBERS // largest // 16 * 16)


def _parted(network: Callable[[Tensor], Tensor], x: Tensor, together: int) -> Tensor:
    """A network's outputs for inputs (N, …), on a CPU without gradients made some at a time."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.device.type != "cpu":
        return network(x)
    cuts = range(together, len(x) - together + 1, together)
    return torch.cat([network(some) for some in x.tensor_split([*cuts])])


class Block(nn.Module):
    """norm, activation, convolution, twice, beside a shortcut; the last convolution starts at 0."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _norm(inputs),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            _norm(outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        last = self.residual[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.shortcut(x) + self.residual(x)


class Encoder(nn.Module):
    """Images (B, C, H, W) to features (B, F), the flattened map of the lowest level."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        colours, height, breadth = shape
        levels = max(len(sides(height)), len(sides(breadth)))
        channels = _channels(width, levels)
        layers: list[nn.Module] = [nn.Conv2d(colours, width, 3, padding=1), Block(width, width)]
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), Block(outputs, outputs)]
        self.layers = nn.Sequential(*layers, _norm(channels[-1]), nn.SiLU(), nn.Flatten())
        self._together = _together(width * height * breadth)
        with torch.no_grad():
            self.features = self.layers(torch.zeros(1, *shape)).shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        return _parted(self.layers, x, self._together)


class Decoder(nn.Module):
    """Latents (N, D) to outputs (N, C, H, W), the encoder's levels in reverse."""

    def __init__(self, shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        colours, height, breadth = shape
        rows, columns = sides(height), sides(breadth)
        levels = max(len(rows), len(columns))
        rows += rows[-1:] * (levels - len(rows))
        columns += columns[-1:] * (levels - len(columns))
        self.sizes = list(zip(rows, columns, strict=True))[::-1]
        channels = _channels(width, levels)[::-1]
        lowest = (channels[0], *self.sizes[0])
        self.stem = nn.Linear(latent, lowest[0] * lowest[1] * lowest[2])
        self.unflatten = nn.Unflatten(-1, lowest)
        self.first = Block(channels[0], channels[0])
        self.blocks = nn.ModuleList(Block(a, b) for a, b in pairwise(channels))
        inputs = [channels[0], *channels[:-1]]
        largest = max(n * h * w for n, (h, w) in zip(inputs, self.sizes, strict=True))
        self._together = _together(largest)
        self.head = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, colours, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        """Latents to outputs."""
        return _parted(self._raised, self.unflatten(self.stem(z)), self._together)

    def _raised(self, lowest: Tensor) -> Tensor:
        """Maps (N, F, H, W) of the lowest level to outputs."""
        x = self.first(lowest)
        for size, block in zip(self.sizes[1:], self.blocks, strict=True):
            x = block(interpolate(x, size=size))
        return self.head(x)


def width(shape: tuple[int, int, int]) -> int:
    """8 channels for the smallest images, 16 or 32 for larger ones."""
    return 8 if max(shape[1:]) <= 8 else 16 if max(shape[1:]) <= 32 else 32


def check(shape: tuple[int, int, int]) -> None:
    """Raise UserError unless there are 1 or 3 channels and sides of 8 to 256 pixels."""
    colours, *lengths = shape
    if colours not in (1, 3) or not all(SMALLEST <= side <= LARGEST for side in lengths):
        raise UserError(
            f"The backbone resnetv2 takes 1 or 3 channels and sides of {SMALLEST} to {LARGEST} "
            f"pixels, not {colours}×{lengths[0]}×{lengths[1]}; resize the images, or use mlp."
        )


def build(shape: tuple[int, int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """Encoder and decoder for images of a shape (C, H, W)."""
    return Encoder(shape, width), Decoder(shape, latent, width)
