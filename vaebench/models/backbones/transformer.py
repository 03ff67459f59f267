"""Small transformers of sequences of tokens, the decoder causal (Vaswani et al. 2017)."""

import torch
from torch import Tensor, nn

from vaebench.errors import UserError

#: Layers each way, and heads of each.
LAYERS, HEADS = 2, 4


def _layers(width: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(width), enable_nested_tensor=False)


class Encoder(nn.Module):
    """Tokens (B, T), -1 behind the end, to the mean (B, F) of their states."""

    def __init__(self, length: int, symbols: int, width: int) -> None:
        super().__init__()
        self.features = width
        self.embed = nn.Embedding(symbols, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.layers = _layers(width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to features."""
        x = x[:, : int((x >= 0).sum(1).max())]
        inside = x >= 0
        told = self.embed(x.clamp_min(0)) + self.place[: x.shape[1]]
        states = self.layers(told, src_key_padding_mask=~inside)
        states = states.masked_fill(~inside[..., None], 0)
        return states.sum(1) / inside.sum(1, keepdim=True)


class Decoder(nn.Module):
    """Latents (N, D) and the tokens (N, T) before each place to logits (N, T, V).

    The latents are told at each place.
    """

    def __init__(self, length: int, symbols: int, latent: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols + 2, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.code = nn.Linear(latent, width)
        self.layers = _layers(width)
        self.out = nn.Linear(width, symbols)

    def forward(self, z: Tensor, before: Tensor) -> Tensor:
        """Latents and tokens to logits."""
        length = before.shape[1]
        told = self.embed(before) + self.place[:length] + self.code(z)[:, None]
        ahead = torch.ones(length, length, dtype=torch.bool, device=z.device).triu(1)
        logits: Tensor = self.out(self.layers(told, mask=ahead))
        return logits


def build(shape: tuple[int, int], latent: int, width: int) -> tuple[Encoder, Decoder]:
    """Encoder and decoder; UserError for a width that the heads cannot share."""
    if width % HEADS:
        raise UserError(
            f"The backbone transformer has {HEADS} heads: --width {width} is no multiple of that."
        )
    return Encoder(*shape, width), Decoder(*shape, latent, width)
