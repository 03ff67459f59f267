"""What a page shows of an evaluated cell beside its numbers: pictures, or texts."""

import json
from collections.abc import Iterator
from pathlib import Path

from vaebench.evaluation.gallery import pictures
from vaebench.evaluation.metrics.subject import Subject
from vaebench.evaluation.part_pictures import part_pictures
from vaebench.evaluation.set_pictures import set_pictures
from vaebench.evaluation.texts import texts

#: What is made last, so that its being there says that all is.
_LAST = ("reconstructions.png", "texts.json")


def whole(folder: Path) -> bool:
    """Whether a cell's folder holds all that is shown."""
    return any((folder / name).exists() for name in _LAST)


def shown(subject: Subject, folder: Path) -> Iterator[tuple[str, bytes, list[str]]]:
    """What a cell's folder does not hold of it.

    Yields:
        The name of a file, its content, and what its lines show, where words say it.
    """
    if subject.images.kind == "tokens":
        yield "texts.json", json.dumps(texts(subject), ensure_ascii=False).encode(), []
        return
    if subject.images.kind == "sets":
        yield from ((name, content, []) for name, content in set_pictures(subject))
        return
    if subject.images.kind == "modalities":
        yield from part_pictures(subject)
        return
    for name, content, words in pictures(subject, folder):
        yield f"{name}.png", content, words
