"""p(x|z) of sequences of tokens, each token given those before it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vaebench.models.items import PAD
from vaebench.models.likelihoods import Likelihood
from vaebench.models.observation import Observation

#: The values of a picture of 28 × 28, which one row of a decoder pass is reckoned in.
_PICTURE = 784


def trimmed(x: Tensor) -> Tensor:
    """Sequences (B, T) without the columns in which all of them have ended; one column at least."""
    return x[:, : max(1, int((x != PAD).sum(1).max()))]


class Tokens(Observation):
    r"""Sequences x (B, T) of tokens 0 to V - 1, -1 behind their end: Σ_t log p(x_t | x_<t, z).

    In training a part of the tokens that the decoder is told is replaced by one symbol ("word
    dropout"); where that part is 1 the decoder is told none of them, in evaluation neither
    ("inputless").

    Args:
        decoder: Latents (N, D), and the tokens (N, T) before each place, V being the start and
            V + 1 a token that is not told, to logits (N, T, V), or (N, 1, V) for all places alike.
        likelihood: Logits and tokens to log p(x|z).
        length: The most tokens of a sequence.
        end: The token that ends one, None where all have the same length.
        dropout: The probability that a token is not told in training.

    References:
        Bowman et al. 2016, Generating Sentences from a Continuous Space, arXiv 1511.06349, sec. 3.

    Example:
        >>> class Unigram(nn.Module):
        ...     def forward(self, z, before):
        ...         return z[:, None].expand(-1, before.shape[1], -1)
        >>> from vaebench.models.likelihoods import Tokens as Categories
        >>> model = Tokens(Unigram(), Categories(3), length=4)
        >>> x = torch.tensor([[0, 1, -1, -1], [2, 2, 2, -1]])
        >>> model.log_prob(torch.zeros(5, 2, 3), x)[0].exp()
        tensor([0.1111, 0.0370])
    """

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: Likelihood,
        length: int,
        end: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.length = length
        self.end = end
        self.dropout = dropout

    @property
    def rows(self) -> int:
        """A sequence's logits, in pictures of 28 × 28."""
        return math.ceil(self.length * self.likelihood.levels / _PICTURE)

    def outputs(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Logits (..., B, T, V) of each token of x (B, T'), T the longest sequence's length."""
        if x is None:
            raise ValueError("What a decoder of sequences says depends on the sequence: give it x.")
        before = self._before(trimmed(x)).expand(*z.shape[:-1], -1)
        found: Any = self.decoder(z.flatten(0, -2), before.flatten(0, -2))
        return found.unflatten(0, z.shape[:-1])

    def score(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (..., B) in nats, summed over the tokens of each sequence."""
        return self.likelihood.log_prob(outputs, trimmed(x))

    def _before(self, x: Tensor) -> Tensor:
        """The tokens (B, T) that the decoder is told before each place of x (B, T)."""
        start, hidden = self.likelihood.levels, self.likelihood.levels + 1
        told = x[:, :-1].clamp_min(0)
        if self.dropout >= 1:
            told = torch.full_like(told, hidden)
        elif self.training and self.dropout > 0:
            told = told.masked_fill(torch.rand(told.shape, device=x.device) < self.dropout, hidden)
        return torch.cat([torch.full_like(x[:, :1], start), told], 1)

    def alone(self, z: Tensor) -> Tensor:
        """Logits (N, T, V) for latents (N, D), of a sequence of which no token is told."""
        start, hidden = self.likelihood.levels, self.likelihood.levels + 1
        before = torch.full((len(z), self.length), hidden, device=z.device)
        before[:, 0] = start
        logits: Tensor = self.decoder(z, before)
        return logits

    def sample(self, z: Tensor) -> Tensor:
        """A draw of x (..., T) for latents (..., D), token by token."""
        return self._continued(z, lambda logits: torch.distributions.Categorical(logits=logits))

    def likely(self, z: Tensor) -> Tensor:
        """x (..., T) for latents (..., D), each token the most probable one behind the others."""
        return self._continued(z, None)

    @torch.no_grad()
    def _continued(self, z: Tensor, law: Any) -> Tensor:
        flat = z.flatten(0, -2)
        x = torch.full((len(flat), self.length), PAD, device=z.device)
        going = torch.ones(len(flat), dtype=torch.bool, device=z.device)
        for place in range(self.length):
            told = self._before(x[:, : place + 1])
            logits = self.decoder(flat, told)[:, -1]
            token = logits.argmax(-1) if law is None else law(logits).sample()
            x[:, place] = torch.where(going, token, PAD)
            if self.end is not None:
                going = going & (token != self.end)
                if not going.any():
                    break
        return x.unflatten(0, z.shape[:-1])
