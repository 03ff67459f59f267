"""Whether a data set's reader returns what it must."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaebench.errors import UserError

if TYPE_CHECKING:
    from vaebench.data.images import Images, Split

#: Files whose lines say nothing about whose mistake it is.
_OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent), "<")

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever a stranger's code raises into one sentence that names its file and line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        theirs = [
            f"{frame.filename}, line {frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(_OURS)
        ]
        place = f"; see {theirs[-1]}" if theirs else ""
        raise UserError(f"{what} fails with {said}{place}.") from error


def check_images(what: str, found: "Images") -> None:
    """Raise UserError unless the splits hold stored levels of one shape, and a label for each."""
    if not (isinstance(found.notes, tuple) and all(isinstance(note, str) for note in found.notes)):
        raise UserError(f"{what} has notes that are not a tuple of sentences.")
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    for name, split in splits.items():
        pixels, labels = split.pixels, split.labels
        if not (isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.ndim == 4):
            kind = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else pixels
            raise UserError(
                f"{what} has {kind!s:.60} as pixels of its {name} split; they must be a uint8 "
                "tensor (N, C, H, W) of stored levels."
            )
        if not pixels.numel() or pixels.shape[1:] != found.train.pixels.shape[1:]:
            raise UserError(
                f"{what} has a {name} split of shape {tuple(pixels.shape)}; none may be empty, and "
                "all need the same channels, height and width."
            )
        if pixels.shape[1] not in (1, 3):
            raise UserError(
                f"{what} has {pixels.shape[1]} channels; 1 (grey) or 3 (colour) can be pictured."
            )
        if not 2 <= found.levels <= 256 or int(pixels.max()) >= found.levels:
            raise UserError(
                f"{what} stores the level {int(pixels.max())} and says `levels={found.levels}`; "
                "levels run from 0 to levels - 1, and there are 2 to 256 of them."
            )
        if name == "test" and len(pixels) < 2:
            raise UserError(
                f"{what} has one test image; every metric needs two or more, and should have many."
            )
        if labels is not None and tuple(labels.shape) != (len(pixels),):
            raise UserError(
                f"{what} has labels of shape {tuple(labels.shape)} for the {len(pixels)} images of "
                f"its {name} split; one integer for each is needed, or None."
            )
        _check_factors(f"{what} has a {name} split", split, found.factors)
        _check_given(f"{what} has a {name} split", split, found)


def _check_factors(what: str, split: "Split", names: tuple[str, ...]) -> None:
    if not (isinstance(names, tuple) and all(type(name) is str for name in names)):
        raise UserError(f"{what} whose factors are named {names!r:.60}, not by a tuple of texts.")
    found, shape = split.factors, (len(split), len(names))
    if found is None and not names:
        return
    if not (isinstance(found, Tensor) and found.dtype in _INTEGERS and tuple(found.shape) == shape):
        kind = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else found
        raise UserError(
            f"{what} with {kind!s:.60} as factors; they must be integers of shape {shape}, a "
            "column for each name in `Images.factors`, or None everywhere."
        )


def _check_given(what: str, split: "Split", found: "Images") -> None:
    given, like = split.given, found.train.given
    if not isinstance(found.given, str) or bool(found.given) != (given is not None):
        raise UserError(
            f"{what} with {'no' if given is None else 'a'} condition where "
            f"`Images.given={found.given!r:.60}`; that is a text, empty where splits have none."
        )
    if given is None or like is None:
        return
    kind = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else str(given)
    sound = isinstance(given, Tensor) and len(given) == len(split)
    if not (sound and (_numbers(given) or _picture(given, split, found.levels))):
        raise UserError(
            f"{what} with {kind:.60} as condition; it must be finite float32 (N, G), or stored "
            "levels (N, C, H, W') in uint8 that stand at the left of the pixels."
        )
    if given.dtype != like.dtype or given.shape[1:] != like.shape[1:]:
        raise UserError(f"{what} with another kind of condition than the train split: {kind}.")


def _numbers(given: Tensor) -> bool:
    return given.ndim == 2 and given.dtype == torch.float32 and bool(given.isfinite().all())


def _picture(given: Tensor, split: "Split", levels: int) -> bool:
    if given.ndim != 4 or given.dtype != torch.uint8 or not given.numel():
        return False
    return given.shape[1:3] == split.pixels.shape[1:3] and int(given.max()) < levels
