"""Bags of words: no order on the way in, and independent tokens on the way out (NVDM)."""

from torch import Tensor, nn


class Encoder(nn.Module):
    """Tokens (B, T), -1 behind the end, to features (B, F) of how often each occurs."""

    def __init__(self, symbols: int, width: int) -> None:
        super().__init__()
        self.features = width
        self.embed = nn.Embedding(symbols, width)
        self.layers = nn.Sequential(nn.Tanh(), nn.Linear(width, width), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to features."""
        inside = (x >= 0)[..., None]
        found: Tensor = self.layers((self.embed(x.clamp_min(0)) * inside).sum(1))
        return found


class Decoder(nn.Module):
    """Latents (N, D) to the logits (N, 1, V) that each token has, whatever is before it."""

    def __init__(self, symbols: int, latent: int) -> None:
        super().__init__()
        self.out = nn.Linear(latent, symbols)

    def forward(self, z: Tensor, before: Tensor) -> Tensor:
        """Latents to logits."""
        logits: Tensor = self.out(z)
        return logits[:, None]


def build(shape: tuple[int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """Two layers in, and one out to a softmax (Miao et al. 2016, arXiv 1511.06038, sec. 3)."""
    return Encoder(shape[1], width), Decoder(shape[1], latent)
