"""One reading of pictures, whoever asks: from a file, or a PIL picture, to stored pixels."""

import stat
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vaebench.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

#: Pillow's names of the formats that are read. None of them starts another program or fetches
#: anything, as PostScript does.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI"),
    *("SGI", "TGA", "TIFF", "WEBP"),
)
_GREY = ("1", "L", "LA", "La", "I", "F")
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112
_BITS = 258
_SAMPLE_FORMAT = 339
_UNSIGNED = 1
#: The share of its range that the brightest pixel of a 32-bit picture must reach: numbers of 8 or
#: 16 bits in a file of 32 would all become black.
_FAINT = 1 / 16
_HALF = 1 / 510
_ON_WHITE = "transparency laid on white"
#: What Pillow raises at damaged files: whatever its decoders meet.
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, EOFError),
    *(AttributeError, struct.error),
)


class Unreadable(ValueError):
    """A picture cannot be read; the text continues "FILE …" and says what to do."""


@dataclass(frozen=True)
class Picture:
    """A picture as stored pixels.

    Attributes:
        pixels: (1, H, W) or (3, H, W), uint8.
        original: Width and height as they are viewed, before cropping and resizing.
        changes: What was done to it other than cropping and resizing, in words.
    """

    pixels: Tensor
    original: tuple[int, int]
    changes: tuple[str, ...] = ()


def formats() -> list[str]:
    """The `FORMATS` that the installed Pillow can read."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def suffixes() -> frozenset[str]:
    """The endings of file names of these formats, in lower case, such as ``.png``."""
    from PIL import Image

    readable = set(formats())
    return frozenset(end for end, name in Image.EXTENSION.items() if name in readable)


def decoder() -> str:
    """What decodes pictures here, with its version."""
    import PIL

    return f"Pillow {PIL.__version__} {','.join(formats())}"


def read(path: Path, size: tuple[int, int], channels: int | None = None) -> Picture:
    """A picture file as stored pixels.

    Args:
        path: The file.
        size: Width and height; the picture's middle is cut out in this ratio and resized.
        channels: 1 for grey, 3 for colour, None for what the picture is.

    Raises:
        UserError: It is not a regular file, or no picture that can be read.
    """
    from PIL import Image

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is not a regular file; name a picture.")
        with warnings.catch_warnings():
            # Pillow warns of what is refused or handled here.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats()) as file:
                return stored(file, size, channels)
    except Unreadable as error:
        raise UserError(f"{path} {error}.") from error
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} cannot be read as a picture ({said:.200}); remove it, or save it as PNG."
        ) from error


def stored(picture: "Image.Image", size: tuple[int, int], channels: int | None = None) -> Picture:
    """A PIL picture as stored pixels, see `read`.

    It is turned as its EXIF data say; what is transparent shows white; more than 8 bits are scaled
    by the range of the mode (65535, 2³¹-1 or 2³²-1, and 1 for floats); palettes and other colour
    spaces become RGB, or grey where a palette has no colours; the first of several pages is used.

    Raises:
        Unreadable: Its numbers do not fit the range of its mode.
    """
    from PIL import Image

    white = _white(picture)
    pages = getattr(picture, "is_animated", False)
    image, turned = _turned(picture)
    image, opaque = _opaque(image)
    image, plain = _plain(image, white, channels)
    # Cropped first, or the filter would take in what is outside.
    middle = image.crop(_middle(image.size, size))
    small = middle.resize(size, Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(small)).reshape(size[1], size[0], -1).permute(2, 0, 1)
    changes = ("first of several pages" if pages else "", turned, opaque, *plain)
    return Picture(pixels, image.size, tuple(filter(None, changes)))


def stack(pictures: Iterable[Picture], count: int, size: tuple[int, int]) -> Tensor:
    """The pixels of `count` pictures of one size, (N, 3, H, W) if one of them is in colour."""
    found = torch.empty((count, 1, size[1], size[0]), dtype=torch.uint8)
    for row, picture in enumerate(pictures):
        if len(picture.pixels) > found.shape[1]:
            found = coloured(found)
        found[row] = picture.pixels
    return found


def coloured(pixels: Tensor) -> Tensor:
    """Pixels (N, 1 or 3, H, W) with three channels."""
    return pixels.expand(-1, 3, -1, -1).contiguous()


def _middle(given: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box around the middle of a picture with the ratio of the wanted width and height."""
    width = min(given[0], max(1, given[1] * wanted[0] // wanted[1]))
    height = min(given[1], max(1, given[0] * wanted[1] // wanted[0]))
    left, top = (given[0] - width) // 2, (given[1] - height) // 2
    return left, top, left + width, top + height


def _white(picture: "Image.Image") -> int:
    """The number that means white in a picture of more than 8 bits."""
    tags = getattr(picture, "tag_v2", None)
    if picture.mode == "F":
        return 1
    if picture.mode == "I" and picture.format is None:
        return 2**31 - 1
    if tags is None or not picture.mode.startswith("I"):
        return 2**16 - 1
    bits = int(tags.get(_BITS, (16,))[0])
    unsigned = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED
    return 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1


def _turned(picture: "Image.Image") -> tuple["Image.Image", str]:
    """The picture as it is viewed."""
    from PIL import ImageOps

    # EXIF data are free text for many programs; viewers show a picture whose are damaged as it is.
    try:
        if picture.getexif().get(_ORIENTATION, 1) in range(2, 9):
            ImageOps.exif_transpose(turned := picture.copy(), in_place=True)
            return turned, "turned as EXIF says"
    except _DAMAGED:
        pass
    picture.load()
    return picture, ""


def _opaque(image: "Image.Image") -> tuple["Image.Image", str]:
    """The picture without transparency: what is behind it is white."""
    from PIL import Image

    key = image.info.get("transparency")
    if image.mode not in _TRANSPARENT and key is None:
        return image, ""
    if image.mode.startswith("I"):
        array = np.array(image)
        clear = array == key
        array[clear] = 2**16 - 1
        return Image.fromarray(array), _ON_WHITE if clear.any() else ""
    grey = image.mode in _GREY
    if image.mode == "La":
        image = image.convert("LA")
    layer = image.convert("RGBA")
    clear = layer.getchannel("A").getextrema() != (255, 255)
    white = Image.new("RGBA", layer.size, "white")
    flat = Image.alpha_composite(white, layer).convert("RGB")
    return flat.convert("L") if grey else _grey_if_it_is(flat, image), _ON_WHITE if clear else ""


def _plain(
    image: "Image.Image", white: int, channels: int | None
) -> tuple["Image.Image", list[str]]:
    """The picture in 8 bits, grey (L) or in colour (RGB)."""
    changes = []
    if image.mode.startswith("I") or image.mode == "F":
        image = _scaled(image, white)
        changes.append("scaled to 8 bits")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = _grey_if_it_is(image.convert("RGB"), image)
    elif image.mode == "LAB":
        image = _of_lab(image)
        changes.append("LAB made RGB")
    elif image.mode not in ("L", "RGB"):
        changes.append(f"{image.mode} made RGB")
        image = image.convert("RGB")
    if channels == 1 and image.mode == "RGB":
        changes.append("colour made grey")
    if channels == 3 and image.mode == "L":
        changes.append("grey made colour")
    return image.convert({1: "L", 3: "RGB", None: image.mode}[channels]), changes


def _grey_if_it_is(flat: "Image.Image", original: "Image.Image") -> "Image.Image":
    """An RGB picture made of a palette's colours, in grey if all of them are."""
    array = np.asarray(flat)
    grey = original.mode in ("P", "PA") and (array == array[..., :1]).all()
    return flat.convert("L") if grey else flat


def _scaled(image: "Image.Image", white: int) -> "Image.Image":
    from PIL import Image

    array = np.array(image).astype(np.float64)
    if not np.isfinite(array).all():
        raise Unreadable("has pixels that are not finite numbers; save it with 8 or 16 bits")
    if white == 2**32 - 1:
        array %= 2**32
    low, high = array.min() / white, array.max() / white
    slack = _HALF if image.mode == "F" else 0
    if low < -slack or high > 1 + slack:
        raise Unreadable(
            f"has numbers from {array.min():g} to {array.max():g} where {image.mode} pixels run "
            f"from 0 (black) to {white} (white); save it with 8 or 16 bits"
        )
    if white > 2**16 and 0 < high < _FAINT:
        raise Unreadable(
            f"has numbers up to {array.max():g} in 32 bits, where white is {white}: it would be "
            "black; save it with 8 or 16 bits"
        )
    return Image.fromarray(np.rint(array.clip(0, white) * (255 / white)).astype(np.uint8))


def _of_lab(image: "Image.Image") -> "Image.Image":
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, inMode="LAB", outMode="RGB").apply(image)
