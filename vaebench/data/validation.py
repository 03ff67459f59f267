"""Whether a data set's reader returns what it must."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.data.modalities import Modalities, Tuples
from vaebench.data.sets import Sets
from vaebench.data.text import PAD, Sentences, Text
from vaebench.errors import UserError

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


def check(what: str, found: object) -> None:
    """Raise UserError unless a reader returns a sound data set of one of the kinds."""
    if not isinstance(found, Images | Text | Sets | Modalities):
        kind = type(found).__name__
        raise UserError(
            f"{what} is read as a {kind}; its reader must return Images, a Text, Sets or "
            "Modalities."
        )
    if not (isinstance(found.notes, tuple) and all(isinstance(note, str) for note in found.notes)):
        raise UserError(f"{what} has notes that are not a tuple of sentences.")
    if isinstance(found, Text):
        _check_vocabulary(what, found)
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    for name, split in splits.items():
        if isinstance(found, Text):
            _check_tokens(what, name, split, found)
        elif isinstance(found, Sets):
            _check_sets(what, name, split, found)
        elif isinstance(found, Modalities):
            _check_parts(what, name, split, found)
        else:
            _check_pixels(what, name, split, found)
        count, noun = len(split), found.noun
        if name == "test" and count < 2:
            raise UserError(
                f"{what} has one test {noun}; every metric needs two or more, and should have many."
            )
        labels = split.labels
        if labels is not None and tuple(labels.shape) != (count,):
            raise UserError(
                f"{what} has labels of shape {tuple(labels.shape)} for the {count} {noun}s of "
                f"its {name} split; one integer for each is needed, or None."
            )
        _check_factors(f"{what} has a {name} split", split, found)
        _check_given(f"{what} has a {name} split", split, found)


def _check_pixels(what: str, name: str, split: Split, found: Images) -> None:
    pixels = split.pixels
    if not (isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.ndim == 4):
        raise UserError(
            f"{what} has {_shown(pixels)} as pixels of its {name} split; they must be a uint8 "
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
    if not 2 <= found.levels <= 256 or (found.levels < 256 and int(pixels.max()) >= found.levels):
        raise UserError(
            f"{what} stores the level {int(pixels.max())} and says `levels={found.levels}`; "
            "levels run from 0 to levels - 1, and there are 2 to 256 of them."
        )


def _check_sets(what: str, name: str, split: Split, found: Sets) -> None:
    pixels = split.pixels
    sound = isinstance(pixels, Tensor) and pixels.dtype in (torch.uint8, torch.float32)
    if not (sound and pixels.ndim == 5 and pixels.numel()):
        raise UserError(
            f"{what} has {_shown(pixels)} as pixels of its {name} split; they must be a tensor "
            "(N, n, C, H, W), uint8 of stored levels or float32, and not empty."
        )
    if split.given is not None:
        raise UserError(f"{what} has sets with a condition, which sets cannot have.")
    if pixels.dtype != found.train.pixels.dtype or len(pixels[0]) != len(found.train.pixels[0]):
        raise UserError(
            f"{what} has a {name} split of other sets than its train split: {_shown(pixels)}."
        )
    if pixels.dtype == torch.uint8:
        train, part = (Split(s.pixels.flatten(0, 1)) for s in (found.train, split))
        _check_pixels(what, name, part, Images(train, train, train, found.levels))
    elif not pixels.isfinite().all() or found.levels != 2:
        raise UserError(
            f"{what} has sets of real numbers that are not finite, or levels={found.levels}, which "
            "has to be 2 for them."
        )


def _check_parts(what: str, name: str, split: Tuples, found: Modalities) -> None:
    stored, layout = split.stored, found.layout
    sound = isinstance(stored, Tensor) and stored.dtype == layout.dtype and stored.ndim == 2
    if not (sound and len(stored) and stored.shape[1] == layout.size):
        raise UserError(
            f"{what} has {_shown(stored)} as items of its {name} split; they must be a tensor "
            f"(N, {layout.size}) of {layout.dtype} that is not empty: `aligned` makes it."
        )
    for part, like in found.like.items():
        mine, which = layout.stored(stored)[part], f"the part {part!r} of the {name}"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", part):
            raise UserError(f"{what} has a part named {part!r:.60}, which is not a short word.")
        if isinstance(like, Text):
            _check_vocabulary(what, like)
            _check_tokens(what, which, Sentences(mine), replace(like, train=Sentences(mine)))
        elif not like.real:
            some = Split(mine)
            _check_pixels(what, which, some, Images(some, some, some, like.levels))
        elif not mine.isfinite().all() or like.levels != 2:
            raise UserError(f"{what} has numbers that are not finite, or not levels=2, in {which}.")


def _check_vocabulary(what: str, found: Text) -> None:
    words = found.vocabulary
    if not (isinstance(words, tuple) and all(isinstance(word, str) for word in words)):
        raise UserError(f"{what} has a vocabulary that is not a tuple of words.")
    if len(set(words)) != len(words) or len(words) < 2:
        raise UserError(f"{what} has {len(words)} words; two or more are needed, all different.")


def _check_tokens(what: str, name: str, split: Sentences, found: Text) -> None:
    tokens = split.tokens
    if not (isinstance(tokens, Tensor) and tokens.dtype == torch.int32 and tokens.ndim == 2):
        raise UserError(
            f"{what} has {_shown(tokens)} as tokens of its {name} split; they must be an int32 "
            "tensor (N, T) of places in the vocabulary, -1 behind the end."
        )
    if not tokens.numel() or tokens.shape[1] != found.train.tokens.shape[1]:
        raise UserError(
            f"{what} has a {name} split of shape {tuple(tokens.shape)}; none may be empty, and all "
            "need the same length, -1 standing behind the end of shorter sequences."
        )
    if int(tokens.min()) < PAD or int(tokens.max()) >= len(found.vocabulary):
        raise UserError(
            f"{what} has tokens from {int(tokens.min())} to {int(tokens.max())} for a vocabulary "
            f"of {len(found.vocabulary)}."
        )
    inside = tokens != PAD
    if not inside[:, 0].all() or (inside[:, 1:] & ~inside[:, :-1]).any():
        raise UserError(
            f"{what} has sequences in its {name} split that are empty, or go on behind a -1."
        )


def _shown(value: object) -> str:
    """A stranger's value in a sentence."""
    kind = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else value
    return f"{kind!s:.60}"


def _check_factors(what: str, split: Split | Sentences, data: Dataset) -> None:
    names = data.factors
    if not (isinstance(names, tuple) and all(type(name) is str for name in names)):
        raise UserError(f"{what} whose factors are named {names!r:.60}, not by a tuple of texts.")
    found, shape = split.factors, (len(split), len(names))
    if found is None and not names:
        return
    if not (isinstance(found, Tensor) and found.dtype in _INTEGERS and tuple(found.shape) == shape):
        raise UserError(
            f"{what} with {_shown(found)} as factors; they must be integers of shape {shape}, a "
            "column for each name in `Images.factors`, or None everywhere."
        )


def _check_given(what: str, split: Split | Sentences, found: Dataset) -> None:
    given, like = split.given, found.train.given
    if not isinstance(found.given, str) or bool(found.given) != (given is not None):
        raise UserError(
            f"{what} with {'no' if given is None else 'a'} condition where "
            f"`Images.given={found.given!r:.60}`; that is a text, empty where splits have none."
        )
    if given is None or like is None:
        return
    sound = isinstance(given, Tensor) and len(given) == len(split)
    if not (sound and (_numbers(given) or _picture(given, split, found.levels))):
        raise UserError(
            f"{what} with {_shown(given)} as condition; it must be finite float32 (N, G), or "
            "stored levels (N, C, H, W') in uint8 that stand at the left of the pixels."
        )
    if given.dtype != like.dtype or given.shape[1:] != like.shape[1:]:
        raise UserError(
            f"{what} with another kind of condition than the train split: {_shown(given)}."
        )


def _numbers(given: Tensor) -> bool:
    return given.ndim == 2 and given.dtype == torch.float32 and bool(given.isfinite().all())


def _picture(given: Tensor, split: Split | Sentences, levels: int) -> bool:
    if isinstance(split, Sentences) or given.ndim != 4 or given.dtype != torch.uint8:
        return False
    like = split.pixels.shape[1:3]
    return given.numel() > 0 and given.shape[1:3] == like and int(given.max()) < levels
