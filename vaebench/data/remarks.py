"""What is said of a data set before it is trained on, whoever read it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from vaebench.data.dataset import Dataset
from vaebench.data.images import Images
from vaebench.data.mapped import pieces
from vaebench.data.text import Text

#: The share of the levels that the brightest pixel reaches in a data set that is not almost black.
_DARK = 1 / 8


def remarks(images: Dataset) -> Iterator[str]:
    """Sentences on items in both train and test, classes that validation lacks, and darkness."""
    # A source that knows its probabilities repeats itself as often as it should.
    known_source = isinstance(images, Text) and images.log_prob is not None
    tested = [] if known_source else list(_rows(images.test.stored))
    wanted = set(tested)
    seen = (key for split in (images.train, images.validation) for key in _rows(split.stored))
    learned = {key for key in seen if key in wanted} if wanted else set()
    again = sum(key in learned for key in tested)
    if again:
        noun = images.noun
        yield (
            f"Of {len(images.test)} test {noun}s, {again} are exact duplicates of {noun}s for "
            "training or validation: likelihoods and distances of these say little."
        )
    known, asked = _classes(images.train), _classes(images.validation)
    if known and asked and (lacking := sorted(known - asked)):
        some = ", ".join(map(str, lacking[:10])) + (", …" if len(lacking) > 10 else "")
        yield f"Of {len(known)} classes, {len(lacking)} are not in the validation split: {some}."
    if isinstance(images, Images):
        yield from _darkness(images)


def _darkness(images: Images) -> Iterator[str]:
    splits = (images.train, images.validation, images.test)
    brightest = max(int(some.max()) for split in splits for some in pieces(split.pixels))
    if brightest < _DARK * (images.levels - 1):
        yield (
            f"The brightest pixel of all is {brightest} where white is {images.levels - 1}: the "
            "pictures are almost black; scale them (masks of 0 and 1 to 0 and 255), or let a data "
            f"set of a plugin say levels={brightest + 1}."
        )


def _rows(stored: Tensor) -> Iterator[int]:
    for some in pieces(stored):
        yield from (hash(row.tobytes()) for row in np.ascontiguousarray(some.numpy()))


def _classes(split: Any) -> set[int]:
    return set() if split.labels is None else set(split.labels.tolist())
