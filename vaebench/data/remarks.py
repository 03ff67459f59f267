"""What is said of a data set before it is trained on, whoever read it."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from vaebench.data.images import Images, Split

#: The share of the levels that the brightest pixel reaches in a data set that is not almost black.
_DARK = 1 / 8


def remarks(images: Images) -> Iterator[str]:
    """Sentences on pictures in both train and test, classes that validation lacks, and darkness."""
    learned = _keys(images.train.pixels) | _keys(images.validation.pixels)
    if again := sum(key in learned for key in _rows(images.test.pixels)):
        yield (
            f"Of {len(images.test)} test images, {again} are exact duplicates of images for "
            "training or validation: likelihoods and distances of these say little."
        )
    known, asked = _classes(images.train), _classes(images.validation)
    if known and asked and (lacking := sorted(known - asked)):
        some = ", ".join(map(str, lacking[:10])) + (", …" if len(lacking) > 10 else "")
        yield f"Of {len(known)} classes, {len(lacking)} are not in the validation split: {some}."
    brightest = max(int(s.pixels.max()) for s in (images.train, images.validation, images.test))
    if brightest < _DARK * (images.levels - 1):
        yield (
            f"The brightest pixel of all is {brightest} where white is {images.levels - 1}: the "
            "pictures are almost black; scale them (masks of 0 and 1 to 0 and 255), or let a data "
            f"set of a plugin say levels={brightest + 1}."
        )


def _rows(pixels: Tensor) -> Iterator[int]:
    return (hash(row.tobytes()) for row in np.ascontiguousarray(pixels.numpy()))


def _keys(pixels: Tensor) -> set[int]:
    return set(_rows(pixels))


def _classes(split: Split) -> set[int]:
    return set() if split.labels is None else set(split.labels.tolist())
