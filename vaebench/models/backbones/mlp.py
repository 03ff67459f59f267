"""Two hidden layers each way: tanh (Burda et al. 2016) or ReLU (Davidson et al. 2018)."""

import math
from itertools import pairwise

from torch import Tensor, nn

Activation = type[nn.Module]


def _layers(sizes: tuple[int, ...], activation: Activation) -> nn.Sequential:
    return nn.Sequential(
        *(part for pair in pairwise(sizes) for part in (nn.Linear(*pair), activation()))
    )


class Encoder(nn.Module):
    """Images (B, C, H, W) to features (B, last of `hidden`)."""

    def __init__(
        self, shape: tuple[int, int, int], hidden: tuple[int, ...], activation: Activation
    ) -> None:
        super().__init__()
        self.features = hidden[-1]
        self.layers = nn.Sequential(nn.Flatten(), *_layers((math.prod(shape), *hidden), activation))

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        return self.layers(x)


class Decoder(nn.Module):
    """Latents (N, D) to outputs (N, C, H, W)."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        latent: int,
        hidden: tuple[int, ...],
        activation: Activation,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_layers((latent, *hidden), activation),
            nn.Linear(hidden[-1], math.prod(shape)),
            nn.Unflatten(-1, shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Latents to outputs."""
        return self.layers(z)


def burda(shape: tuple[int, int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """784-width-width each way (Burda et al. 2016, 1509.00519, app. C; there of 200 units)."""
    hidden = (width, width)
    return Encoder(shape, hidden, nn.Tanh), Decoder(shape, latent, hidden, nn.Tanh)


def davidson(shape: tuple[int, int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """784-width-width/2, and back (Davidson et al. 2018, 1804.00891, sec. 5.2; there of 256)."""
    hidden = (width, max(1, width // 2))
    return Encoder(shape, hidden, nn.ReLU), Decoder(shape, latent, hidden[::-1], nn.ReLU)
