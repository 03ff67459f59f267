"""Sequences of symbols that share a topic: what a code has to know of them is known.

The topic is drawn once for a sequence, and then each symbol given the topic alone. A decoder that
sees the code z but not the symbols before can be exact only if z carries I(topic; x).
"""

from itertools import combinations_with_replacement
from math import comb, log
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaebench.data.images import Request
from vaebench.data.synthetic import Choice, numbers, peaked, splits, tokens_of, within
from vaebench.data.text import Sentences, Text

#: The most multisets of symbols that are summed over, and the draws that are averaged instead.
_SUMMED, _DRAWN = 20_000, 20_000


class Information(NamedTuple):
    """I(topic; x) in nats, and its standard error, 0 where it is exact."""

    nats: float
    error: float


class Topics:
    """K equally probable topics, each with its distribution over V symbols.

    Args:
        emission: From a topic to a symbol (K, V), positive, rows that sum to 1.
    """

    def __init__(self, emission: np.ndarray) -> None:
        self.emission = emission

    def log_prob(self, tokens: Tensor) -> Tensor:
        """The log-probability (N,) in nats, float64, of sequences (N, T), by a sum over topics."""
        symbols = torch.from_numpy(self.emission).log().T.to(tokens.device)
        given = sum((symbols[token] for token in tokens.long().T), symbols.new_zeros(1))
        return (given - log(len(self.emission))).logsumexp(1)

    def sample(
        self, random: np.random.Generator, count: int, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Topics (count,) and sequences (count, length) of symbols."""
        topic = random.integers(len(self.emission), size=count)
        each = Choice(self.emission)(random, topic.repeat(length))
        return topic, each.reshape(count, length)

    def entropy(self) -> float:
        """The nats of a symbol whose topic is known; long sequences need as many a symbol."""
        return float(-(self.emission * np.log(self.emission)).sum() / len(self.emission))

    def information(self, length: int) -> Information:
        """What a sequence of a length says of its topic.

        It is summed over all multisets of symbols where these are few, else averaged over 20,000
        seeded draws.
        """
        topics, symbols = self.emission.shape
        emission = torch.from_numpy(self.emission).log().T
        if comb(length + symbols - 1, length) <= _SUMMED:
            sets = np.array([*combinations_with_replacement(range(symbols), length)])
            counts = _counts(sets, symbols)
            # Of sets, which say as much as their sequences.
            orders = torch.lgamma(torch.tensor(length + 1.0).double()) - (counts + 1).lgamma().sum(
                1
            )
            given = counts @ emission + orders[:, None]
            ratio = given - given.logsumexp(1, keepdim=True) + log(topics)
            return Information(float((given.exp() * ratio).sum()) / topics, 0.0)
        random = np.random.default_rng([topics, symbols, length])
        counts = _counts(self.sample(random, _DRAWN, length)[1], symbols)
        posterior = (counts @ emission).log_softmax(1)
        uncertain = -(posterior.exp() * posterior).sum(1)
        error = float(uncertain.std()) / _DRAWN**0.5
        return Information(log(topics) - float(uncertain.mean()), error)


def _counts(sequences: np.ndarray, symbols: int) -> Tensor:
    """How often each symbol (N, V) is in sequences (N, T), float64."""
    rows = len(sequences)
    places = (np.arange(rows)[:, None] * symbols + sequences).ravel()
    found = np.bincount(places, minlength=rows * symbols).reshape(rows, symbols)
    return torch.from_numpy(found.astype(float))


def mixture(topics: int, symbols: int) -> Topics:
    """The topics of `topics`, some for each number of them and of symbols."""
    return Topics(peaked(np.random.default_rng([topics, symbols]), topics, symbols, 2))


def read(
    request: Request,
    *,
    topics: int = 8,
    symbols: int = 20,
    length: int = 10,
    items: int = 10_000,
    subset: int = 0,
) -> Text:
    """Sequences of one length, labelled by topic, and their exact log-probability.

    Args:
        request: Nothing of it is used.
        topics: K, all of the same probability.
        symbols: V, the symbols.
        length: T, the tokens of a sequence.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of the draws; the topics are the same for all of them.

    Raises:
        UserError: There are no sequences of that kind, or too many.
    """
    within("topics[topics]", topics, 1, 200)
    within("topics[symbols]", symbols, 2, 1_000)
    within("topics[length]", length, 1, 1_000)
    source = mixture(topics, symbols)

    def draw(random: np.random.Generator, count: int) -> Sentences:
        topic, found = source.sample(random, count, length)
        return Sentences(tokens_of(found), torch.from_numpy(topic))

    parts = splits("topics", draw, items, length, subset)
    known = source.information(length)
    about = f" ± {known.error:.4f}" if known.error else ""
    note = (
        f"A sequence says {known.nats:.4f}{about} nats of its topic, I(topic; x), of "
        f"{log(topics):.4f}; each of its {length} symbols has {source.entropy():.4f} nats given "
        f"the topic, and together they have {known.nats + length * source.entropy():.3f}."
    )
    return Text(*parts, notes=(note,), vocabulary=numbers(symbols), log_prob=source.log_prob)
