"""Sequences of tokens in memory: splits, their vocabulary, and what is known of their source."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from vaebench.data.dataset import Dataset
from vaebench.errors import UserError
from vaebench.models.items import PAD, Kind

#: The words of a vocabulary that no text holds: its end, and what is not in the vocabulary.
END, UNKNOWN = "<end>", "<unk>"


class Sequences(NamedTuple):
    """The shape of an item: T tokens at most, each one of V symbols."""

    length: int
    symbols: int


@dataclass(frozen=True)
class Sentences:
    """Sequences of tokens (N, T), and what is known of them.

    Attributes:
        tokens: Places in the vocabulary, int32, `PAD` (-1) behind the end of a sequence; its end
            is a token itself where lengths vary.
        labels: A class (N,) for each, where there are classes.
        factors: What each was made from (N, F), integers counted from zero, where that is known.
        given: What each is modelled given, where there is a condition: float32 (N, G).
    """

    tokens: Tensor
    labels: Tensor | None = None
    factors: Tensor | None = None
    given: Tensor | None = None

    @property
    def stored(self) -> Tensor:
        """The tokens."""
        return self.tokens

    @property
    def lengths(self) -> Tensor:
        """The number of tokens (N,) of each, its end counted."""
        return (self.tokens != PAD).sum(1)

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Text(Dataset):
    """Sequences in memory: three disjoint splits of `Sentences`, and their vocabulary.

    Attributes:
        vocabulary: The V words that tokens are places of. `END` is the end of a sequence, without
            which all have the same length; `UNKNOWN` stands for words that are not among them.
        separator: What stands between two words.
        log_prob: Tokens (N, T) to their log-probability (N,) in nats, float64, where the source
            knows it.

    Example:
        >>> tokens = torch.tensor([[0, 2, -1], [0, 1, 2]], dtype=torch.int32)
        >>> some = Sentences(tokens)
        >>> text = Text(some, some, some, vocabulary=("to", "be", "<end>"))
        >>> text.shape, text.words(tokens), text.tokens(["be"])
        (Sequences(length=3, symbols=3), ['to', 'to be'], tensor([[ 1,  2, -1]], dtype=torch.int32))
    """

    vocabulary: tuple[str, ...] = ()
    separator: str = " "
    log_prob: Callable[[Tensor], Tensor] | None = None
    kind: ClassVar[Kind] = "tokens"

    def __post_init__(self) -> None:
        """Let `levels` be V."""
        object.__setattr__(self, "levels", len(self.vocabulary))

    @property
    def shape(self) -> Sequences:
        """The most tokens of a sequence, and V."""
        return Sequences(self.train.tokens.shape[1], len(self.vocabulary))

    @property
    def end(self) -> int | None:
        """The token that ends a sequence, None where all have the same length."""
        return self.vocabulary.index(END) if END in self.vocabulary else None

    def words(self, tokens: Tensor) -> list[str]:
        """Tokens (N, T) as texts, without their end."""
        return [
            self.separator.join(
                self.vocabulary[token] for token in row if token not in (PAD, self.end)
            )
            for row in tokens.tolist()
        ]

    def split(self, text: str) -> list[str]:
        """The words of a text, or its characters where nothing stands between words."""
        return text.split() if self.separator else list(text)

    def tokens(self, texts: Iterable[str]) -> Tensor:
        """Texts as tokens (N, T) with their end, where that is not cut off.

        Raises:
            UserError: A word is not in the vocabulary, and `UNKNOWN` neither; or a text has not
                the length that all have.
        """
        sentences = [self.split(each) for each in texts]
        length = self.shape.length
        for sentence in sentences if self.end is None else ():
            if len(sentence) != length:
                raise UserError(
                    f"A sequence has {len(sentence)} symbols; all that the model knows have "
                    f"{length}."
                )
        return tokens(sentences, self.vocabulary, length)

    def hash(self) -> str:
        """A digest of all tokens that are used, in their order and split, and of the vocabulary."""
        words = repr((self.vocabulary, self.separator))
        return hashlib.sha256(f"{super().hash()} {words}".encode()).hexdigest()[:16]


def tokens(sentences: Iterable[Sequence[str]], vocabulary: tuple[str, ...], length: int) -> Tensor:
    """Sentences as tokens (N, length) with their end, where there is one that is not cut off.

    The words `END` and `UNKNOWN`, should a text have them, are unknown.

    Raises:
        UserError: A word is not in the vocabulary, and `UNKNOWN` neither.
    """
    places = {word: place for place, word in enumerate(vocabulary)}
    end, unknown = ([places.pop(word)] if word in places else [] for word in (END, UNKNOWN))

    def place(word: str) -> int:
        if (known := places.get(word)) is not None:
            return known
        if unknown:
            return unknown[0]
        raise UserError(f"{word!r} is none of the {len(places)} words of the vocabulary.")

    return padded([[*map(place, each[:length]), *end] for each in sentences], length)


def padded(sequences: list[list[int]], length: int | None = None) -> Tensor:
    """Sequences as tokens (N, T), int32, each cut at T = `length`, by default the longest one's."""
    most = max(map(len, sequences), default=0) if length is None else length
    lengths = torch.tensor([min(most, len(sequence)) for sequence in sequences], dtype=torch.long)
    found = torch.full((len(sequences), most), PAD, dtype=torch.int32)
    kept = [token for sequence in sequences for token in sequence[:most]]
    found[torch.arange(most) < lengths[:, None]] = torch.tensor(kept, dtype=torch.int32)
    return found
