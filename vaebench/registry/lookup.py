"""Data sets and backbones by name, whoever brings them."""

from pathlib import Path

from vaebench.data import heldout
from vaebench.data.images import Images, Request, Source
from vaebench.data.validation import check_images, explained
from vaebench.errors import UserError
from vaebench.models.backbones import Backbone
from vaebench.registry.catalogue import catalogue


def backbone(name: str) -> Backbone:
    """The backbone of that name; UserError if there is none."""
    return catalogue().bringer("backbones", name).backbones[name]


def source(name: str) -> Source:
    """The source of a data set: ``mnist``, ``mnist[without=9]``, ``folder:PATH`` and the like."""
    key = heldout.named(name)[0].partition(":")[0]
    if key == "folder" and key == name:
        raise UserError("Say which folder: --dataset folder:PATH.")
    return catalogue().bringer("datasets", key).datasets[key]


def load(name: str, request: Request) -> Images:
    """Read a data set; UserError if it is missing, damaged, too small or not what it must be."""
    found = source(name)
    path = name.partition(":")[2]
    if path:
        request = Request(Path(path), request.download, request.size)
    what = f"The data set {name!r}"
    with explained(what):
        images = found.read(request)
    if not isinstance(images, Images):
        raise UserError(
            f"{what} is read as a {type(images).__name__}; its reader must return Images."
        )
    check_images(what, images)
    label = heldout.named(name)[1]
    if label is not None:
        images = heldout.without(what, images, label)
        check_images(what, images)
    return images
