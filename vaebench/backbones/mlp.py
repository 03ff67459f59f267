"""Two tanh layers each way, 784-200-200 on MNIST: the networks of Burda et al. 2016, app. C."""

import math

from torch import Tensor, nn


class Encoder(nn.Module):
    """Images (B, C, H, W) to features (B, width)."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.features = width
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        return self.layers(x)


class Decoder(nn.Module):
    """Latents (N, D) to outputs (N, C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, math.prod(shape)),
            nn.Unflatten(-1, shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Latents to outputs."""
        return self.layers(z)


def width(shape: tuple[int, int, int]) -> int:
    """The paper's 200 units."""
    return 200


def build(shape: tuple[int, int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """Encoder and decoder for images of a shape (C, H, W)."""
    return Encoder(shape, width), Decoder(shape, latent, width)
