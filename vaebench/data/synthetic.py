"""What sources of drawn sequences share: distributions, draws from them, splits."""

from collections.abc import Callable

import numpy as np
import torch

from vaebench.data.text import Sentences
from vaebench.errors import UserError

#: Sequences for validation, and as many for testing.
HELD_OUT = 2_000
#: The most tokens of all training sequences.
MOST = 50_000_000


def peaked(random: np.random.Generator, rows: int, columns: int, squarings: int = 4) -> np.ndarray:
    """Distributions (rows, columns), most of the probability of each on few columns.

    They are products and sums of uniform numbers, the same on every machine: the more squarings,
    the fewer.
    """
    weights = random.random((rows, columns))
    for _ in range(squarings):
        weights = weights * weights
    return 0.98 * weights / weights.sum(1, keepdims=True) + 0.02 / columns


class Choice:
    """Draws of a column (N,), each from one of several distributions.

    Args:
        distributions: Weights (K, V), of which each row has some.
    """

    def __init__(self, distributions: np.ndarray) -> None:
        self.columns = distributions.shape[1]
        cumulative = distributions.cumsum(1)
        cumulative = cumulative / cumulative[:, -1:] + np.arange(len(cumulative))[:, None]
        self._cumulative = cumulative.ravel()

    def __call__(self, random: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """A column drawn from each of the rows (N,)."""
        # Rounding must not lead to the next row.
        uniform = np.minimum(rows + random.random(len(rows)), np.nextafter(rows + 1.0, 0))
        return self._cumulative.searchsorted(uniform, "right") - rows * self.columns


def within(name: str, value: int, least: int, most: int) -> None:
    """Raise UserError unless an option, ``hmm[states]``, is in its range."""
    if not least <= value <= most:
        raise UserError(f"{name} must be from {least} to {most}, not {value}.")


def splits(
    name: str,
    draw: Callable[[np.random.Generator, int], Sentences],
    items: int,
    length: int,
    subset: int,
) -> tuple[Sentences, Sentences, Sentences]:
    """Training, validation and test sequences, independent draws.

    Args:
        name: What the source is called.
        draw: From random numbers and N to N sequences.
        items: How many are for training; the others are the same for every number of them.
        length: The most tokens of one.
        subset: Seed of the draws.

    Raises:
        UserError: There would be none, or too many to keep in memory.
    """
    within(f"{name}[items]", items, 1, MOST // length)
    if subset < 0:
        raise UserError(f"{name}[subset] must be 0 or more, not {subset}.")
    test, validation, train = (
        draw(np.random.default_rng([subset, part]), count)
        for part, count in enumerate((HELD_OUT, HELD_OUT, items))
    )
    return train, validation, test


def numbers(count: int) -> tuple[str, ...]:
    """The vocabulary ``0``, ``1``, …."""
    return tuple(map(str, range(count)))


def tokens_of(sequences: np.ndarray) -> torch.Tensor:
    """Integers (N, T) as tokens."""
    return torch.from_numpy(sequences.astype(np.int32))
