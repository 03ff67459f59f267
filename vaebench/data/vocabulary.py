"""From sentences of words to a `Text`: a vocabulary that only training makes, and what it costs."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from torch import Tensor

from vaebench.data.synthetic import MOST, within
from vaebench.data.text import END, PAD, UNKNOWN, Sentences, Text, tokens
from vaebench.errors import UserError

Words = Sequence[str]


def vocabulary_of(sentences: Iterable[Words], most: int) -> tuple[str, ...]:
    """`END`, `UNKNOWN` and the most frequent words, first of all, ties in alphabetical order.

    A word that is there once is unknown, so that a model learns how often words are.

    Args:
        sentences: Those for training.
        most: The number of words that are kept, at most.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    often = sorted((-count, word) for word, count in counts.items() if count > 1)
    words = [word for _, word in often if word not in (END, UNKNOWN)]
    return (END, UNKNOWN, *words[:most])


def check(name: str, vocabulary: int, length: int) -> None:
    """Raise UserError where options of the source of that name cannot be had."""
    within(f"{name}[vocabulary]", vocabulary, 1, 1_000_000)
    within(f"{name}[length]", length, 2, 10_000)


def most_sentences(length: int) -> int:
    """How many sentences of that length are kept in memory, at most."""
    return MOST // length


def kept(words: Iterable[str], length: int) -> Words:
    """The words of a sentence that are used, and one more where it is cut; equal words are one."""
    return [sys.intern(word) for word in islice(words, length + 1)]


def text(
    parts: Sequence[Sequence[Words]],
    vocabulary: int,
    length: int,
    *,
    labels: Sequence[Tensor | None] = (None, None, None),
    separator: str = " ",
    noun: str = "words",
    notes: tuple[str, ...] = (),
) -> Text:
    """A text whose vocabulary is that of its training sentences, and notes on what was cut.

    Args:
        parts: Sentences for training, validation and testing.
        vocabulary: The number of words that are kept, at most.
        length: T, at which sentences are cut, their end counted.
        labels: A class for each sentence of each part, where there are classes.
        separator: What stands between two words.
        noun: What words are called.
        notes: What else there is to say, first.

    Raises:
        UserError: There are more sentences than memory should hold.
    """
    count = sum(map(len, parts))
    if count > most_sentences(length):
        raise UserError(
            f"There are {count} sentences of up to {length} tokens; {MOST} tokens fit: take fewer "
            "sentences, or a smaller [length]."
        )
    chosen = vocabulary_of((each[:length] for each in parts[0]), vocabulary)
    train, validation, test = (
        Sentences(tokens(part, chosen, length), known)
        for part, known in zip(parts, labels, strict=True)
    )
    measured = test.tokens
    number = int((measured != PAD).sum())
    unknown = int((measured == 1).sum()) / max(1, number)
    cut = sum(len(sentence) >= length for part in parts for sentence in part)
    said = (
        f"{count} sentences, of which {cut} are cut at {length} tokens, their end counted: "
        "likelihoods are of what is left.",
        f"The vocabulary has {len(chosen)} entries: the {noun} that are most frequent in the "
        f"training split and there twice or more, the end, and {UNKNOWN}.",
        f"The test split has {number} tokens, {unknown:.2%} of them unknown {noun}: likelihoods "
        "compare with those of the same sentences, tokens and vocabulary alone.",
    )
    return Text(
        train,
        validation,
        test,
        notes=(*notes, *said),
        vocabulary=chosen,
        separator=separator,
    )
