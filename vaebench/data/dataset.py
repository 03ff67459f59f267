"""What data sets of every kind have in common: splits in memory, their hash, their order."""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from vaebench.data.mapped import pieces
from vaebench.errors import UserError
from vaebench.models.items import NOUNS, Kind

S = TypeVar("S")
D = TypeVar("D", bound="Dataset")
#: The most items of validation and of test that are looked at: a random sample of them says as
#: much as any number needs, and all of them as float32 would be what fills the memory.
MOST = 20_000


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of items, and what is known of all of them.

    Attributes:
        train: The items to learn from, as a split of that kind: with `stored`, its items (N, …)
            as they are kept, and a class, factors and a condition for each where there are such.
        validation: Those that decide which epoch is evaluated.
        test: Those that are measured.
        levels: L, the number of values that a stored number has.
        outside: The items of a class that all three splits lack, where one is held out.
        notes: Sentences on what was read, passed over and converted, for people.
        factors: Names of the columns of the splits' factors, where there are any.
        given: What items are modelled given: ``label``, or in the words of a reader; empty for
            nothing.
        classes: The labels of training in the order of columns, where these are given or seen.
        labelled: The number of training items whose labels training may see, None for none.
    """

    train: Any
    validation: Any
    test: Any
    levels: int = 256
    outside: Any = None
    notes: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    given: str = ""
    classes: tuple[int, ...] = ()
    labelled: int | None = None
    kind: ClassVar[Kind]

    @property
    def shape(self) -> Any:
        """The shape of an item."""
        raise NotImplementedError(f"{type(self).__name__} does not say of what shape an item is.")

    @property
    def part(self) -> Any:
        """The shape that backbones are told: of an item, or of each element of a set."""
        return self.shape

    @property
    def made_of(self) -> Kind:
        """What backbones and likelihoods meet: items, or their elements."""
        return self.kind

    @property
    def elements(self) -> int:
        """n, the number of elements of a set; 0 where items are no sets."""
        return 0

    @property
    def real(self) -> bool:
        """Whether what is stored are real numbers."""
        found: bool = self.train.stored.is_floating_point()
        return found

    @property
    def has_text(self) -> bool:
        """Whether items are sequences of tokens, or have a part that is."""
        return self.kind == "tokens"

    @property
    def noun(self) -> str:
        """What one item is called."""
        return NOUNS[self.kind]

    def hash(self) -> str:
        """A digest of every stored number that is used, in its order and split.

        Conditions, and labels that training may see, are used too.
        """
        digest = hashlib.sha256(str(self.levels).encode())
        splits = [self.train, self.validation, self.test]
        for split in splits if self.outside is None else [*splits, self.outside]:
            digest.update(str(tuple(split.stored.shape)).encode())
            for some in pieces(split.stored):
                digest.update(some.contiguous().numpy().data)
            for known in self._known(split):
                digest.update(f"{known.dtype} {tuple(known.shape)}".encode())
                digest.update(known.contiguous().numpy().tobytes())
        if self.given or self.labelled is not None:
            digest.update(repr((self.given, self.classes, self.labelled)).encode())
        return digest.hexdigest()[:16]

    def _known(self, split: Any) -> list[Tensor]:
        """What a split's items are used with, beside themselves."""
        labels = None if self.labelled is None else split.labels
        return [each for each in (split.given, labels) if each is not None]


def subset(split: S, rows: Tensor | slice) -> S:
    """The items of a split at `rows`, in that order, with all that is known of them."""
    known: Any = split
    whole = {field.name: getattr(known, field.name) for field in fields(known)}
    parts = {name: value[rows] for name, value in whole.items() if value is not None}
    return replace(known, **parts)


def bounded(images: D) -> D:
    """The data set with at most `MOST` items of validation and of test, which a note says."""
    more = {
        name: len(split)
        for name in ("validation", "test")
        if len(split := getattr(images, name)) > MOST
    }
    if not more:
        return images
    counts = " and ".join(f"{count:,} of {name}" for name, count in more.items())
    note = f"Of the {images.noun}s, {counts}, a random sample of {MOST:,} each is used."
    some = {name: subset(getattr(images, name), slice(MOST)) for name in more}
    return replace(images, **some, notes=(*images.notes, note))


def fewer(what: str, images: D, count: int) -> D:
    """The data set with `count` of its training items, a random sample, which a note says.

    A smaller sample is part of every larger one.

    Args:
        what: The data set in words, for errors.
        images: The data set, its items in random order.
        count: How many training items are kept.

    Raises:
        UserError: It has not as many.
    """
    most, noun = len(images.train), images.noun
    if count > most:
        raise UserError(f"{what} has {most:,} training {noun}s: train takes at most {most}.")
    note = f"Training sees {count:,} of {most:,} {noun}s, a random sample."
    train = subset(images.train, slice(count))
    return replace(images, train=train, notes=(*images.notes, note))


def permuted(split: S) -> S:
    """The items in an order that is random, and the same each time."""
    known: Any = split
    return subset(split, torch.from_numpy(order(len(known))))


def order(count: int) -> np.ndarray:
    """A permutation (N,) that is random, and the same each time."""
    return np.random.default_rng(0).permutation(count)
