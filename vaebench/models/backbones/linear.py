"""Nothing on the way in and one linear layer on the way out, for linear-Gaussian data."""

import math

from torch import Tensor, nn


class Encoder(nn.Module):
    """Images (B, C, H, W) to their values (B, C·H·W)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.features = math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Images to values."""
        return x.flatten(1)


def build(
    shape: tuple[int, int, int], latent: int, width: int, *, bias: bool = True
) -> tuple[Encoder, nn.Module]:
    """The values themselves, and latents (N, D) to outputs (N, C, H, W)."""
    out = nn.Linear(latent, math.prod(shape), bias=bias)
    return Encoder(shape), nn.Sequential(out, nn.Unflatten(-1, shape))
