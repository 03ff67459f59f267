"""The sequential VAE: a chain of decoders, each with latents of its own, that refine a picture."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench import Chain, Draw, Gaussian, Posterior, Shared, Variant, hookimpl

if TYPE_CHECKING:
    from vaebench_plugins.convdraw import Grid


class Encoder(nn.Module):
    """Images (B, C, H, W) to features (B, F), the last of which are the image itself."""

    def __init__(self, grid: "Grid", width: int) -> None:
        super().__init__()
        maps = width * grid.sides[0] * grid.sides[1]
        self.features = maps + math.prod(grid.shape)
        self.look = nn.Sequential(
            grid.down(grid.shape[0], width), nn.Conv2d(width, width, 3, padding=1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        return torch.cat([self.look(x).flatten(1), x.flatten(1)], 1)


class Refiners(nn.Module):
    """Latents and conditions (N, D + G) to outputs (N, M·C, H, W), in T steps.

    The first step sees its latents alone; each other one also the expected picture after the step
    before, to whose outputs it adds. Steps share no weights.

    Args:
        grid: The lay of the maps.
        width: Channels of the maps.
        sizes: The latent dimensions of each step.
        outputs: M.
        given: G.
        expected: From outputs (N, M·C, H, W) to the expected picture (N, C, H, W).
    """

    def __init__(
        self,
        grid: "Grid",
        width: int,
        sizes: list[int],
        outputs: int,
        given: int,
        expected: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.grid, self.sizes, self.given, self.expected = grid, sizes, given, expected
        self.lay = (width, *grid.sides)
        maps = width * grid.sides[0] * grid.sides[1]
        channels = outputs * grid.shape[0]
        self.read = nn.ModuleList(nn.Linear(size + given, maps) for size in sizes)
        self.look = nn.ModuleList(grid.down(grid.shape[0], width) for _ in sizes[1:])
        self.paint = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width if t == 0 else 2 * width, width, 3, padding=1),
                nn.Tanh(),
                grid.up(width, channels),
            )
            for t in range(len(sizes))
        )

    def steps(self, z: Tensor) -> list[Tensor]:
        """The outputs after each step."""
        *parts, y = z.split([*self.sizes, self.given], -1)
        found: list[Tensor] = []
        for t, part in enumerate(parts):
            maps = self.read[t](torch.cat([part, y], -1)).unflatten(-1, self.lay).tanh()
            if found:
                maps = torch.cat([maps, self.look[t - 1](self.expected(found[-1]))], 1)
            new = self.grid.cut(self.paint[t](maps))
            found.append(found[-1] + new if found else new)
        return found

    def forward(self, z: Tensor) -> Tensor:
        """The outputs after all steps."""
        return self.steps(z)[-1]


def networks(
    features: int,
    steps: int = 4,
    channels: int = 16,
    *,
    shape: tuple[int, int, int],
    outputs: int,
    expected: Callable[[Tensor], Tensor],
    given: int,
) -> tuple[nn.Module, nn.Module]:
    """An encoder, and a decoder of T steps with maps of so many channels.

    Raises:
        ValueError: There are fewer latent dimensions than steps, or no step or channel.
    """
    if channels < 1:
        raise ValueError(f"Maps have one channel or more, not {channels}.")
    # Loaded when it is used: what is wrong with the other plugin is not wrong with this one.
    from vaebench_plugins.convdraw import Grid, sizes_of

    sizes, grid = sizes_of(features, steps), Grid(shape)
    return Encoder(grid, channels), Refiners(grid, channels, sizes, outputs, given, expected)


class Sequential(Posterior):
    """Independent Gaussians q(z_t|x) of T blocks, which share the D dimensions, against N(0, I).

    Args:
        features: D, the number of latent dimensions of all steps together.
        context: F, the number of encoder features.
        steps: T; with 1 it is the diagonal Gaussian on the same networks.

    Raises:
        ValueError: There are fewer dimensions than steps, or no step.
    """

    def __init__(self, features: int, context: int, steps: int = 4) -> None:
        from vaebench_plugins.convdraw import sizes_of

        super().__init__(features, context)
        self.sizes = sizes_of(features, steps)
        self.q: Any = nn.ModuleList(Gaussian(size, context) for size in self.sizes)

    def _chain(self, laws: list[Callable[..., Distribution]], batch: torch.Size) -> Chain:
        blocks = zip(self.sizes, laws, strict=True)
        return Chain({f"z{t}": block for t, block in enumerate(blocks, 1)}, batch)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to a chain of independent blocks."""
        return self._chain([partial(_alone, partial(q, h)) for q in self.q], h.shape[:-1])

    def prior(self) -> Distribution:
        """N(0, I), as a chain of the same blocks."""
        return self._chain([partial(_alone, q.prior) for q in self.q], torch.Size())


def _alone(law: Callable[[], Distribution], *before: Tensor) -> Distribution:
    return law()


def intermediate(
    draw: Draw,
    weight: float = 1.0,
    *,
    decoder: Shared,
    score: Callable[[Tensor, Tensor], Tensor],
    shape: tuple[int, int, int],
    given: int,
) -> Tensor:
    """-E_q[log p(x|z)] (B,) of the outputs after each step but the last, summed, times `weight`.

    With it the loss is the sum over steps of a reconstruction term and a KL (Zhao et al. 2017,
    1702.08658, sec. 6).
    """
    assert draw.h is not None
    end = draw.h.shape[-1] - given
    x, y = draw.h[:, end - math.prod(shape) : end].unflatten(-1, shape), draw.h[:, end:]
    told = torch.cat([draw.z, y.expand(*draw.z.shape[:-1], given)], -1)
    *early, _ = decoder.network.steps(told.flatten(0, 1))  # type: ignore[operator]
    value = draw.log_px.new_zeros(draw.log_px.shape)
    for outputs in early:
        value = value - score(outputs.unflatten(0, draw.z.shape[:2]), x)
    return weight * draw.mean(value)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Four steps, each taught to reach the image."""
    return [
        Variant(
            "sequential",
            Sequential,
            penalties={"intermediate": intermediate},
            reference="Zhao, Song & Ermon 2017, arXiv 1702.08658",
            family="posteriors",
            description="A chain of decoders p(x_t|x_{t-1}, z_t) of their own that refine a "
            "picture, each taught to reach the image, with q(z|x) = Π q(z_t|x) against N(0, I).",
            networks=networks,
        )
    ]
