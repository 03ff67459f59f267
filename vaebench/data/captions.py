"""Items of two parts: a sprite and a sentence that names its shape, size and place.

A template grammar with synonyms, and words that may be left out, makes several sentences of one
picture, and of several pictures the same sentence; what is probable is known exactly. The angle of
a sprite is never named.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from vaebench.data import sprites
from vaebench.data.images import Request, Split
from vaebench.data.modalities import Modalities, aligned
from vaebench.data.sprites import FACTORS
from vaebench.data.synthetic import Choice
from vaebench.data.text import END, Sentences, Text, padded
from vaebench.errors import UserError

#: What a symbol, in capital letters, becomes: words and symbols, each alternative with a weight. A
#: lone weight says nothing.
TEMPLATES = (
    "a SIZE SHAPE PLACE 5 | there is a SIZE SHAPE PLACE 3 | PLACE there is a SIZE SHAPE 1 | "
    "a SIZE SHAPE 1"
)
SHAPES = (
    "triangle 7 | wedge 3",
    "half disc 5 | semicircle 3 | dome 2",
    "bracket 6 | hook 2 | right angle 2",
)
SIZES = (
    "small 5 | tiny 3 | little 1 | 1",
    "medium 4 | middling 2 | 4",
    "big 5 | large 3 | huge 1 | 1",
)
#: By row and column.
PLACES = (
    (
        "at the top left 5 | in the upper left corner 3 | at the top 1 | on the left 1",
        "at the top 8 | in the upper half 2",
        "at the top right 5 | in the upper right corner 3 | at the top 1 | on the right 1",
    ),
    (
        "on the left 8 | in the left half 2",
        "in the middle 6 | in the centre 4",
        "on the right 8 | in the right half 2",
    ),
    (
        "at the bottom left 5 | in the lower left corner 3 | at the bottom 1 | on the left 1",
        "at the bottom 8 | in the lower half 2",
        "at the bottom right 5 | in the lower right corner 3 | at the bottom 1 | on the right 1",
    ),
)
#: A meaning is a shape, a size, a row and a column, in so many values.
MEANINGS = (3, 3, 3, 3)
_NATS = float(np.log(sprites.COUNT))


def expanded(symbol: str, rules: Mapping[str, str]) -> dict[tuple[str, ...], float]:
    """The probability of all that a symbol becomes, words in their order.

    Args:
        symbol: One of the rules'; any other is a word.
        rules: Their alternatives.

    Example:
        >>> expanded("S", {"S": "a B 3 | c 1", "B": "b 1 | 1"})
        {('a', 'b'): 0.375, ('a',): 0.375, ('c',): 0.25}
    """
    if symbol not in rules:
        return {(symbol,): 1.0}
    options = [option.split() for option in rules[symbol].split("|")]
    total = sum(float(weight) for *_, weight in options)
    found: dict[tuple[str, ...], float] = {}
    for *parts, weight in options:
        several = product(*(expanded(part, rules).items() for part in parts))
        for chosen in several:
            words = tuple(word for some, _ in chosen for word in some)
            share = float(weight) / total * float(np.prod([p for _, p in chosen]))
            found[words] = found.get(words, 0.0) + share
    return found


def meanings(factors: np.ndarray) -> np.ndarray:
    """The numbers (N,), from zero on, of what is said of sprites of factors (N, 5)."""
    shape, size, _, x, y = factors.T
    row, column = 3 * y // FACTORS["y"], 3 * x // FACTORS["x"]
    return np.ravel_multi_index((shape, size // 2, row, column), MEANINGS)


class Law:
    """p(sentence | meaning), as a table of all sentences.

    Attributes:
        vocabulary: `END`, and all words in alphabetical order.
        sentences: All S of them.
        share: The probability (M, S) of each sentence, by meaning.
        weight: The probability (M,) of each meaning where all sprites are alike.
        tokens: The sentences (S, T), int32.
    """

    def __init__(self) -> None:
        of = [
            expanded(
                "S",
                {
                    "S": TEMPLATES,
                    "SHAPE": SHAPES[a],
                    "SIZE": SIZES[b],
                    "PLACE": PLACES[row][column],
                },
            )
            for a, b, row, column in np.ndindex(MEANINGS)
        ]
        self.sentences = sorted(set().union(*of))
        self.vocabulary = (END, *sorted({word for each in self.sentences for word in each}))
        self._place = {sentence: place for place, sentence in enumerate(self.sentences)}
        self.share = np.zeros((len(of), len(self.sentences)))
        for row, each in enumerate(of):
            self.share[row, [self._place[words] for words in each]] = [*each.values()]
        every = sprites.factors_of(np.arange(sprites.COUNT))
        counts = np.bincount(meanings(every), minlength=len(of))
        self.weight = counts / sprites.COUNT
        known = {word: place for place, word in enumerate(self.vocabulary)}
        self.tokens = padded([[*map(known.__getitem__, s), 0] for s in self.sentences])
        self._rows = {row.tobytes(): place for place, row in enumerate(self.tokens.numpy())}

    def places(self, tokens: Tensor) -> np.ndarray:
        """Which sentences (N,) tokens (N, T) are, -1 for what the grammar never says."""
        rows = np.ascontiguousarray(tokens.cpu().numpy().astype(np.int32))
        return np.array([self._rows.get(row.tobytes(), -1) for row in rows], np.int64)

    def log_prob(self, tokens: Tensor, meaning: np.ndarray | None = None) -> Tensor:
        """log p(sentence | meaning) (N,) in nats, float64, of tokens (N, T); without it log p."""
        place = self.places(tokens)
        table = (self.weight @ self.share)[place] if meaning is None else self.share[meaning, place]
        return torch.from_numpy(np.where(place < 0, 0.0, table)).log()

    def shapes(self, tokens: Tensor) -> Tensor:
        """The shape (N,) that tokens (N, T) name, -1 where they are no sentence of the grammar."""
        place = self.places(tokens)
        by_shape = self.share.reshape(MEANINGS[0], -1, len(self.sentences)).sum(1)
        return torch.from_numpy(np.where(place < 0, -1, by_shape.argmax(0)[place]))


@cache
def law() -> Law:
    """The law of all captions."""
    return Law()


def log_prob(pixels: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
    """log p (N,) in nats, float64, of sprites (N, 1, H, H), of sentences (N, T), or of both.

    Every sprite has the same probability, and what is none has none.
    """
    if pixels is None:
        assert tokens is not None
        return law().log_prob(tokens)
    factors = sprites.seen(pixels[:, 0].cpu().numpy())
    known = factors[:, 0] >= 0
    found = torch.full((len(pixels),), -torch.inf, dtype=torch.float64)
    found[known] = -_NATS
    if tokens is None:
        return found
    return found + law().log_prob(tokens, meanings(np.maximum(factors, 0)))


def read(request: Request, *, items: int = 10_000, subset: int = 0) -> Modalities:
    """Sprites as the part ``picture``, sentences on them as the part ``caption``.

    Args:
        request: Its size is that of `sprites`.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of the sprites and of what is said of them.

    Raises:
        UserError: There are not so many, or none of that size.
    """
    try:
        pictures = sprites.read(request, items=items, subset=subset)
    except UserError as error:
        raise UserError(str(error).replace("sprites[", "captions[")) from error
    splits = (pictures.test, pictures.validation, pictures.train)
    test, validation, train = (
        _said(split, np.random.default_rng([subset, part])) for part, split in enumerate(splits)
    )
    text = Text(train, validation, test, vocabulary=law().vocabulary)
    return _together(aligned({"picture": pictures, "caption": text}, notes=(_note(),)))


def _said(split: Split, random: np.random.Generator) -> Sentences:
    """A sentence on each sprite of a split."""
    assert split.factors is not None
    chosen = Choice(law().share)(random, meanings(split.factors.numpy()))
    return Sentences(law().tokens[torch.from_numpy(chosen)], split.labels)


def _together(found: Modalities) -> Modalities:
    """The data set with what is known of its source."""
    layout = found.layout

    def of(stored: Tensor, only: Collection[str] | None = None) -> Tensor:
        parts = layout.stored(stored)
        kept = {name: part for name, part in parts.items() if only is None or name in only}
        return log_prob(kept.get("picture"), kept.get("caption"))

    return replace(found, log_prob=of, named={"caption": law().shapes})


def _note() -> str:
    share, weight = law().share, law().weight
    every = weight @ share
    text = -(every * np.log(every)).sum()
    given = -(weight @ np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0)).sum()
    return (
        f"A picture has {_NATS:.4f} nats, its caption {given:.4f} given the picture and {text:.4f} "
        f"alone: they share {text - given:.4f}."
    )
