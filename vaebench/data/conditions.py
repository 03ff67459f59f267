"""What is known of images besides their pixels: conditions, and labels that training may see."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaebench.compute.random import generator
from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.data.modalities import Modalities
from vaebench.errors import UserError, unknown

#: What the options of a data set say here, beside what its reader takes.
OPTIONS = ("given", "labels")
KINDS = ("label", "left")
#: What puts several images into an item, and what that is called.
_GROUPS = {"sets": "a set", "views": "an item"}
_NOTE = (
    "Each {noun} is modelled given {what}, which encoder and decoder are told: every likelihood is "
    "one of {part}{noun}s given that, log p(x|y), and samples are drawn under the conditions of "
    "the test {noun}s."
)

D = TypeVar("D", bound=Dataset)


def check(what: str, options: Mapping[str, str]) -> None:
    """Raise UserError where options of a data set cannot be had, whatever its images are."""
    kind, labels = options.get("given"), options.get("labels")
    if (number := options.get("train")) is not None and not _counts(number):
        raise UserError(
            f"{what}[train={number}] does not say how many items training has; write a number."
        )
    for each, holder in _GROUPS.items():
        if (number := options.get(each)) is not None:
            if not _counts(number):
                raise UserError(
                    f"{what}[{each}={number}] does not say how many images {holder} has; write a "
                    "number."
                )
            if kind is not None:
                raise UserError(
                    f"{what} cannot have given={kind} beside {each}={number}: {each} are modelled "
                    "given nothing; leave out one of the two."
                )
    for other in ("sets", "without"):
        if "views" in options and other in options:
            raise UserError(
                f"{what} cannot have views={options['views']} beside {other}={options[other]}: "
                "leave out one of the two."
            )
    if kind is not None and kind not in KINDS:
        raise unknown(f"condition of {what}:", kind, KINDS)
    if labels is not None and labels != "all" and not (labels.isascii() and labels.isdecimal()):
        raise UserError(
            f"{what}[labels={labels}] does not say of how many training images the labels are "
            "seen; write a number, or labels=all."
        )
    if kind == "label" and labels is not None:
        raise UserError(
            f"{what} cannot have given=label beside labels={labels}: a label that is given is "
            "known of every image; leave out one of the two."
        )
    if kind == "label" and "without" in options:
        raise UserError(
            f"{what} cannot have given=label beside without={options['without']}: images of the "
            "class that is left out would have no label to be given; leave out one of the two."
        )


def _counts(number: str) -> bool:
    """Whether a text is a whole number from 1 on that is no absurd one."""
    return number.isascii() and number.isdecimal() and len(number) <= 9 and int(number) > 0


def conditioned(what: str, images: Dataset, options: Mapping[str, str]) -> Dataset:
    """The data set with the condition and the number of labels that its options ask for.

    Args:
        what: The data set in words, for errors.
        images: The data set.
        options: ``given``: ``label`` or ``left``; ``labels``: a number of training images, or
            ``all``. Each may be missing.

    Raises:
        UserError: The data set does not have what is asked for.
    """
    if "given" in options and images.given:
        raise UserError(f"{what} comes with a condition of its own; leave out given=….")
    if "labels" in options:
        images = _labelled(what, images, options["labels"])
    kind = options.get("given")
    if kind is None:
        return images
    if isinstance(images, Modalities):
        raise UserError(f"{what} has items of several parts, which have no condition.")
    return _given_label(what, images) if kind == "label" else _given_left(what, images)


def shown(labels: Tensor, count: int, seed: int) -> Tensor:
    """The class (N,) of each image whose label training may see, -1 of all others, int64.

    Classes are counted from zero in the order of their labels, as in `Images.classes`. All have as
    many images as they can: the counts of classes that have enough differ by one at most, and
    which of these have one more is random.

    Args:
        labels: A label (N,) for each training image.
        count: How many of them are seen, N or less.
        seed: The cell's seed, of which the choice is a function.
    """
    noise = generator(seed, "labels")
    classes, of = labels.unique(return_inverse=True)
    order = torch.randperm(len(labels), generator=noise)
    first = torch.randperm(len(classes), generator=noise)
    of = of.cpu()
    rank = torch.empty(len(labels), dtype=torch.long)
    for each in range(len(classes)):
        mine = order[of[order] == each]
        rank[mine] = torch.arange(len(mine)) * len(classes) + first[each]
    chosen = rank.argsort()[:count]
    return torch.full_like(of, -1).index_copy(0, chosen, of[chosen]).to(labels.device)


def whole(pictures: Tensor, given: Tensor | None) -> Tensor:
    """Pictures completed by the part of them that is given; as they are where that is no picture.

    Args:
        pictures: Stored levels or grey values in [0, 1] (..., C, H, W).
        given: The condition of each; a picture (N, C, H, W') stands at the left of the others, in
            the same units and of the same dtype.

    Raises:
        ValueError: One is stored levels, the other grey values.
    """
    if given is None or given.ndim < 4:
        return pictures
    if given.dtype != pictures.dtype:
        raise ValueError(
            f"Pictures of dtype {pictures.dtype} are not completed by ones of {given.dtype}: both "
            "have to be stored levels, or both grey values."
        )
    return torch.cat([given.expand(*pictures.shape[:-1], given.shape[-1]), pictures], -1)


def _classes(what: str, images: Dataset) -> tuple[int, ...]:
    """The classes of training; UserError where a split has no labels, or others."""
    splits = {"train": images.train, "validation": images.validation, "test": images.test}
    found = {name: s.labels.unique() for name, s in splits.items() if s.labels is not None}
    if len(found) < len(splits):
        raise UserError(f"{what} has no labels: none can be given or seen.")
    known = found["train"].tolist()
    for name, labels in found.items():
        if other := sorted(set(labels.tolist()) - set(known)):
            some = ", ".join(map(str, other[:10])) + (", …" if len(other) > 10 else "")
            raise UserError(
                f"{what} has classes in its {name} split that training lacks ({some}): a model "
                "cannot know them by their labels."
            )
    return tuple(known)


def _labelled(what: str, images: Dataset, count: str) -> Dataset:
    classes, most = _classes(what, images), len(images.train)
    number = most if count == "all" else int(count)
    if not len(classes) <= number <= most:
        raise UserError(
            f"{what} has {len(classes)} classes in {most} training {images.noun}s: labels takes a "
            f"number from {len(classes)} to {most}, or all, not {count}."
        )
    return replace(images, classes=classes, labelled=number)


def _given_label(what: str, images: Dataset) -> Dataset:
    classes = _classes(what, images)
    columns = torch.tensor(classes)

    def given(split: Any) -> Any:
        column = torch.searchsorted(columns, split.labels.long())
        # One class for all says nothing.
        known = one_hot(column, len(classes)).float()[:, : len(classes) * (len(classes) > 1)]
        return replace(split, given=known)

    note = _NOTE.format(what="its label", part="", noun=images.noun)
    notes = (*images.notes, note)
    return _each(replace(images, given="label", classes=classes, notes=notes), given)


def _given_left(what: str, images: Dataset) -> Dataset:
    if not isinstance(images, Images):
        raise UserError(f"{what} has no pictures: no half of them can be given.")
    width = images.shape[-1]
    if width < 2:
        raise UserError(f"{what} has pictures one pixel wide: no half of them can be given.")
    left = images.train.pixels[..., : width // 2]
    constant = bool((left == left[:1]).all())

    def given(split: Split) -> Split:
        known, rest = split.pixels[..., : width // 2], split.pixels[..., width // 2 :]
        if constant:
            known = torch.zeros(len(split), 0)
        return replace(split, pixels=rest.contiguous(), given=known.contiguous())

    note = _NOTE.format(what="its left half", part="right halves of ", noun="image")
    return _each(replace(images, given="left", notes=(*images.notes, note)), given)


def _each(images: D, change: Callable[[Any], Any]) -> D:
    images = replace(images, train=change(images.train))
    images = replace(images, validation=change(images.validation), test=change(images.test))
    if images.outside is None:
        return images
    return replace(images, outside=change(images.outside))
