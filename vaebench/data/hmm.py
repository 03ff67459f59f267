"""Sequences from a hidden Markov chain, whose probabilities the forward algorithm knows.

References:
    Rabiner 1989, eqs. 19-21.
"""

import numpy as np
import torch
from torch import Tensor

from vaebench.data.images import Request
from vaebench.data.synthetic import Choice, numbers, peaked, splits, tokens_of, within
from vaebench.data.text import Sentences, Text

#: The least logarithm that is taken: of what is impossible.
_LEAST = torch.finfo(torch.float64).min


class Hmm:
    """A hidden Markov chain of K states that emits one of V symbols at each step.

    Args:
        transition: From a state to the next one (K, K), rows that sum to 1.
        emission: From a state to a symbol (K, V), rows that sum to 1.
        start: The probability of each state (K,) at the first step.

    Example:
        >>> chain = Hmm(np.eye(2), np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.5, 0.5]))
        >>> chain.log_prob(torch.tensor([[0, 0], [1, 1], [0, 1]])).exp()
        tensor([0.6250, 0.1250, 0.1250], dtype=torch.float64)
    """

    def __init__(self, transition: np.ndarray, emission: np.ndarray, start: np.ndarray) -> None:
        self.transition, self.emission, self.start = transition, emission, start

    def log_prob(self, tokens: Tensor) -> Tensor:
        """The log-probability (N,) in nats, float64, that sequences (N, T) begin a longer one.

        Behind the end of a sequence, PAD is any symbol.
        """
        transition, emission, start = (
            torch.from_numpy(each).to(tokens.device, torch.float64)
            for each in (self.transition, self.emission, self.start)
        )
        # PAD, which is -1, is the last column.
        symbols = torch.cat([emission, torch.ones_like(emission[:, :1])], 1).log().T
        forward = start.log().expand(len(tokens), -1)
        for t, token in enumerate(tokens.long().T):
            if t:
                most = forward.amax(1, keepdim=True).clamp(min=_LEAST)
                forward = most + ((forward - most).exp() @ transition).log()
            forward = forward + symbols[token]
        return forward.logsumexp(1)

    def sample(self, random: np.random.Generator, count: int, length: int) -> np.ndarray:
        """Sequences (count, length) of symbols."""
        follow, emit = Choice(self.transition), Choice(self.emission)
        state = Choice(self.start[None])(random, np.zeros(count, np.int64))
        symbols = np.empty((count, length), np.int32)
        for t in range(length):
            if t:
                state = follow(random, state)
            symbols[:, t] = emit(random, state)
        return symbols


def chain(states: int, symbols: int) -> Hmm:
    """The chain of `hmm`, one for each number of states and symbols.

    A state stays with a probability of a half and more, and emits few symbols often.
    """
    random = np.random.default_rng([states, symbols])
    transition = (np.eye(states) + peaked(random, states, states)) / 2
    emission = peaked(random, states, symbols)
    return Hmm(transition, emission, np.full(states, 1 / states))


def read(
    request: Request,
    *,
    states: int = 8,
    symbols: int = 20,
    length: int = 20,
    items: int = 10_000,
    subset: int = 0,
) -> Text:
    """Sequences of one length and their exact log-probability.

    Args:
        request: Nothing of it is used.
        states: K, the hidden states.
        symbols: V, the symbols that they emit.
        length: T, the tokens of a sequence.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of the draws; the chain is the same for all of them.

    Raises:
        UserError: There are no sequences of that kind, or too many.
    """
    within("hmm[states]", states, 1, 200)
    within("hmm[symbols]", symbols, 2, 10_000)
    within("hmm[length]", length, 1, 1_000)
    source = chain(states, symbols)
    parts = splits(
        "hmm",
        lambda random, count: Sentences(tokens_of(source.sample(random, count, length))),
        items,
        length,
        subset,
    )
    return Text(*parts, vocabulary=numbers(symbols), log_prob=source.log_prob)
