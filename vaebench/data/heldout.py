"""A class kept from training altogether, to ask whether a model knows that it is foreign to it."""

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaebench.data.dataset import Dataset, subset
from vaebench.errors import UserError

D = TypeVar("D", bound=Dataset)


def without(what: str, images: D, label: str) -> D:
    """The data set without the images of a class; these are its `outside`, the test images first.

    Args:
        what: The data set in words, for errors.
        images: The whole data set.
        label: The class, as a number.

    Raises:
        UserError: The data set has no labels, no such class, or training classes that are not
            those of the test images.
    """
    splits = (images.test, images.validation, images.train)
    found = [set(s.labels.tolist()) for s in splits if s.labels is not None]
    if len(found) < len(splits):
        raise UserError(f"{what} has no labels: no class of it can be left out.")
    if found[0] != found[-1]:
        raise UserError(f"{what} is trained on other classes than it is tested on: leave out none.")
    names = {str(each): each for each in sorted(found[0])}
    if label not in names:
        shown = ", ".join(list(names)[:20]) + (", …" if len(names) > 20 else "")
        raise UserError(f"{what} has no class {label!r}; its classes are {shown}.")
    gone = [_of(split, names[label], inside=False) for split in splits]
    rest = [_of(split, names[label], inside=True) for split in splits]
    like = images.test
    known = {f.name: _joined([getattr(s, f.name) for s in gone]) for f in fields(like)}
    outside = replace(like, **known)
    return replace(images, test=rest[0], validation=rest[1], train=rest[2], outside=outside)


def _of(split: Any, label: int, *, inside: bool) -> Any:
    return subset(split, (split.labels == label) != inside)


def _joined(parts: list[Tensor | None]) -> Any:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None
