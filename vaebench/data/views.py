"""Items of several parts that are different images of one class."""

from torch import Tensor

from vaebench.data.dataset import Dataset
from vaebench.data.images import Images, Split
from vaebench.data.modalities import Modalities, aligned
from vaebench.data.sets import chosen
from vaebench.errors import UserError

#: The most views of an item, as of elements of linear sets.
MOST = 100


def viewed(what: str, images: Dataset, views: int) -> Modalities:
    """Items whose parts ``view1`` to ``viewM`` are different images of one class.

    No image is in two items of a split. Each class gives its images in the order in which they
    stand, and items stand in the order of their last images, so that items of one view are the
    images. What remains of a class is left out.

    Args:
        what: The data set in words, for errors.
        images: The data set.
        views: M.

    Raises:
        UserError: It has no pictures or no classes, or a split has no class of so many images.
    """
    if not isinstance(images, Images):
        raise UserError(f"{what} has no single pictures that can be views: leave out views.")
    if images.given:
        raise UserError(f"{what} comes with a condition of its own, which views cannot have.")
    if images.outside is not None:
        raise UserError(f"{what} cannot have views beside a class that is left out.")
    if not 1 <= views <= MOST:
        raise UserError(f"{what} cannot have {views} views: views takes a number from 1 to {MOST}.")
    splits = {"train": images.train, "validation": images.validation, "test": images.test}
    rows = {name: _rows(what, name, split, views) for name, split in splits.items()}
    rest = sum(len(split) - rows[name].numel() for name, split in splits.items())
    left = f"; {rest} images, too few of their class and split for another item, are left out"
    note = f"An item is {views} images of one class{left if rest else ''}."
    if views > 1:
        nats = _entropy(splits["train"], rows["train"])
        note += f" What one says of another is its class, of {nats:.3f} nats."
    parts = {}
    for number in range(views):
        train, validation, test = (_view(splits[name], rows[name][:, number]) for name in splits)
        parts[f"view{number + 1}"] = Images(train, validation, test, levels=images.levels)
    return aligned(parts, notes=(*images.notes, note))


def _view(split: Split, rows: Tensor) -> Split:
    assert split.labels is not None
    return Split(split.pixels[rows], split.labels[rows])


def _rows(what: str, name: str, split: Split, views: int) -> Tensor:
    """The images (N, M) of each item of a split."""
    if split.labels is None:
        raise UserError(f"{what} has no classes: views are images of one class.")
    labels = split.labels
    if int(labels.unique(return_counts=True)[1].max()) < views:
        raise UserError(
            f"{what} has no class of {views} images in its {name} split: ask for fewer views."
        )
    return chosen(labels, views)


def _entropy(split: Split, rows: Tensor) -> float:
    """The entropy in nats of the classes of items."""
    assert split.labels is not None
    share = split.labels[rows[:, 0]].unique(return_counts=True)[1].double() / len(rows)
    return float(-(share * share.log()).sum() + 0.0)
