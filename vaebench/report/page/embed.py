"""Pictures from a run's folder as data URIs, decoded and encoded afresh, never passed through."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from vaebench.runs import files

_LARGEST_FILE = 16 * 2**20
_LARGEST_PIXELS = 4096 * 4096


class Picture(NamedTuple):
    """An image that a page can hold; `scale` says how often it is to be enlarged."""

    uri: str
    width: int
    height: int


def picture(run: Path | str, cell: str, name: str, budget: int) -> Picture | None:
    """A PNG of a cell in at most about `budget` bytes; None where there is none to show.

    Small pictures stay exact; larger ones become lossy, then smaller.
    """
    image = _read(run, cell, name)
    return None if image is None else _encode(image, budget)


def strip(run: Path | str, cell: str, name: str, count: int, budget: int) -> list[Picture]:
    """The pictures that stand one below the other in a PNG of a cell.

    Args:
        run: The run's folder.
        cell: The cell's name.
        name: The file's name.
        count: How many there are; where it holds no so many of one size, none is returned.
        budget: Bytes that they may take together, about.
    """
    image = _read(run, cell, name)
    if image is None or not count or image.height % count:
        return []
    height = image.height // count
    boxes = [(0, height * i, image.width, height * (i + 1)) for i in range(count)]
    return [_encode(image.crop(box), budget // count) for box in boxes]


def _read(run: Path | str, cell: str, name: str) -> Image.Image | None:
    path = files.file(run, f"cells/{cell}/{name}", _LARGEST_FILE)
    if path is None:
        return None
    try:
        with Image.open(path, formats=["PNG"]) as file:
            if file.width * file.height > _LARGEST_PIXELS:
                return None
            return file.convert("RGB" if file.mode in ("RGB", "RGBA", "P") else "L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _encode(image: Image.Image, budget: int) -> Picture:
    exact = _bytes(image, "PNG", optimize=True)
    if len(exact) <= budget:
        return _picture(image, "png", exact)
    while True:
        lossy = _bytes(image, "WEBP", quality=80, method=4)
        if len(lossy) <= budget or min(image.size) <= 64:
            return _picture(image, "webp", lossy)
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _picture(image: Image.Image, kind: str, content: bytes) -> Picture:
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, image.width, image.height)
