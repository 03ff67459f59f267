"""Recurrent networks of sequences of tokens (Bowman et al. 2016)."""

import torch
from torch import Tensor, nn

#: Of what is built for a sequence: the most tokens, and V.
Shape = tuple[int, int]
#: Symbols from which on a text has words.
_WORDS = 1000


class Encoder(nn.Module):
    """Tokens (B, T), -1 behind the end, to the state (B, F) behind the last one."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], symbols: int, width: int) -> None:
        super().__init__()
        self.features = width
        self.embed = nn.Embedding(symbols, width)
        self.layer = cell(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to features."""
        lengths = (x >= 0).sum(1)
        states, _ = self.layer(self.embed(x[:, : int(lengths.max())].clamp_min(0)))
        last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[-1])
        return states.gather(1, last)[:, 0]


class Decoder(nn.Module):
    """Latents (N, D) and the tokens (N, T) before each place to logits (N, T, V).

    The latents are the first state, and are told at each place.
    """

    def __init__(
        self, cell: type[nn.LSTM] | type[nn.GRU], symbols: int, latent: int, width: int
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols + 2, width)
        self.first = nn.Linear(latent, width)
        self.layer = cell(width + latent, width, batch_first=True)
        self.out = nn.Linear(width, symbols)

    def forward(self, z: Tensor, before: Tensor) -> Tensor:
        """Latents and tokens to logits."""
        told = torch.cat([self.embed(before), z[:, None].expand(-1, before.shape[1], -1)], -1)
        state = self.first(z).tanh()[None]
        if isinstance(self.layer, nn.LSTM):
            states, _ = self.layer(told, (state, torch.zeros_like(state)))
        else:
            states, _ = self.layer(told, state)
        logits: Tensor = self.out(states)
        return logits


def width(shape: Shape) -> int:
    """64 units for a few symbols, 256 for words."""
    return 256 if shape[1] >= _WORDS else 64


def lstm(shape: Shape, latent: int, width: int) -> tuple[Encoder, Decoder]:
    """One layer of long short-term memory each way."""
    return Encoder(nn.LSTM, shape[1], width), Decoder(nn.LSTM, shape[1], latent, width)


def gru(shape: Shape, latent: int, width: int) -> tuple[Encoder, Decoder]:
    """One layer of gated recurrent units each way."""
    return Encoder(nn.GRU, shape[1], width), Decoder(nn.GRU, shape[1], latent, width)
