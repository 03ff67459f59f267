"""Drawings of the glyphs of Hershey's fonts: many classes of few images, like handwriting.

A glyph is a list of strokes, and a class. Each drawing of it turns, shears, scales and shifts the
strokes, moves their ends a little, and has a width of its own.

References:
    Hershey 1967, Calligraphy for Computers, whose fonts may be used for any purpose with their
    acknowledgement; their format is by James Hurt, Cognition Inc. Lake et al. 2015, doi
    10.1126/science.aab3050 (Omniglot), which has as many classes and 20 drawings of each.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaebench.data.images import Images, Request, Split
from vaebench.data.synthetic import within
from vaebench.errors import UserError

#: Where Debian's package hershey-fonts-data has them.
DEBIAN = Path("/usr/share/hershey-fonts")
#: One class in so many is for testing.
TESTED = 5
#: Drawings of each training class for validation.
VALIDATED = 5
SIDES = (16, 128)
#: The largest file that is read, and the most ends that the strokes of a glyph have.
_LARGEST, _ENDS = 2**20, 1000
#: The part of a picture's side that a glyph takes, and the distance of points along its strokes.
_ROOM, _STEP = 0.7, 0.5
#: The most that a drawing is turned (the tangent of half the angle), sheared, scaled and shifted,
#: and that ends move, as parts of the glyph's or the picture's side.
_TURN, _SHEAR, _SCALE, _SHIFT, _SHAKE = 0.08, 0.2, 0.15, 0.05, 0.03
#: Widths of strokes on pictures of 28 pixels.
_THIN, _THICK = 0.9, 1.9

#: Strokes: lines through two or more ends (S, 2) each.
Glyph = tuple[tuple[tuple[int, int], ...], ...]


def read(request: Request, *, drawings: int = 20, subset: int = 0) -> Images:
    """Grey drawings, light on black, whose labels are glyphs; those of the test split are others.

    Validation has other drawings of the training classes.

    Args:
        request: Its folder holds `hershey` with the fonts' files; its size is from 16 to 128.
        drawings: Of each class, for training or for testing.
        subset: Seed of the drawings; which glyphs are tested is always the same.

    Raises:
        UserError: The files are missing or damaged, or there is no such size or number.
    """
    side = request.size or 28
    within("--image-size of glyphs", side, *SIDES)
    within("glyphs[drawings]", drawings, 1, 1000)
    if subset < 0:
        raise UserError(f"glyphs[subset] must be 0 or more, not {subset}.")
    found = glyphs(_folder(request.root / "hershey"))
    order = np.random.default_rng(0).permutation(len(found))
    tested, learned = np.split(order, [len(found) // TESTED])
    plan = ((learned, drawings), (learned, VALIDATED), (tested, drawings))
    train, validation, test = (
        _split(found, np.sort(labels), count, side, [subset, part])
        for part, (labels, count) in enumerate(plan)
    )
    return Images(train, validation, test)


def _split(found: list[Glyph], labels: np.ndarray, count: int, side: int, seed: list[int]) -> Split:
    pixels = [
        drawn(found[label], np.random.default_rng([*seed, label]), count, side) for label in labels
    ]
    return Split(torch.cat(pixels)[:, None], torch.from_numpy(labels.repeat(count)))


def _folder(own: Path) -> Path:
    for folder in (own, DEBIAN):
        if any(folder.glob("*.jhf")):
            return folder
    raise UserError(
        f"The files *.jhf of Hershey's fonts are neither in {own.absolute()} nor in {DEBIAN}; "
        "install Debian's package hershey-fonts-data, or name the folder that holds hershey/ with "
        "--data-dir or $VAEBENCH_DATA."
    )


def glyphs(folder: Path) -> list[Glyph]:
    """The glyphs of all fonts in a folder, each once, in an order that files do not change.

    Raises:
        UserError: A file is damaged, or there are too few glyphs to test some.
    """
    found = {glyph for path in sorted(folder.glob("*.jhf")) for glyph in _of_file(path)}
    if len(found) < 2 * TESTED:
        raise UserError(f"{folder} has {len(found)} glyphs in *.jhf; {2 * TESTED} are needed.")
    return sorted(found)


def _of_file(path: Path) -> Iterator[Glyph]:
    """The glyphs of a file: of each a number, a count of pairs of letters, and these pairs."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        lines = iter(path.read_text("ascii").splitlines())
        for line in lines:
            if not line.strip():
                continue
            count = int(line[5:8])
            if not 1 <= count <= _ENDS:
                raise ValueError(f"a glyph has {count} pairs")
            while len(line) < 8 + 2 * count:
                line += next(lines)
            # The first pair says how wide the glyph is.
            if glyph := _strokes(line[10 : 8 + 2 * count]):
                yield glyph
    except (OSError, ValueError, StopIteration, RuntimeError) as error:
        raise UserError(
            f"{path} is damaged ({error}); install Debian's package hershey-fonts-data, or copy "
            "its files there."
        ) from error


def _strokes(text: str) -> Glyph:
    """Pairs of letters as strokes, of which a blank with an R lifts the pen; R is 0."""
    strokes = []
    for part in _pairs(text):
        ends = tuple((ord(pair[0]) - ord("R"), ord(pair[1]) - ord("R")) for pair in part)
        if len(set(ends)) > 1:
            strokes.append(ends)
    return tuple(strokes)


def _pairs(text: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for pair in (text[i : i + 2] for i in range(0, len(text), 2)):
        if pair == " R":
            parts.append([])
        else:
            parts[-1].append(pair)
    return parts


def drawn(glyph: Glyph, random: np.random.Generator, count: int, side: int) -> Tensor:
    """Drawings (count, side, side) of a glyph, uint8, computed alike on every machine."""
    ends = torch.tensor([end for stroke in glyph for end in stroke], dtype=torch.float64)
    low, high = ends.amin(0), ends.amax(0)
    ends = (ends - (low + high) / 2) / (high - low).max() * (_ROOM * side)
    places = _placed(ends, random, count, side)
    start, share = _along([len(stroke) for stroke in glyph], ends)
    points = places[:, start] + share[:, None] * (places[:, start + 1] - places[:, start])
    radius = torch.from_numpy(random.uniform(_THIN, _THICK, count)) * (side / 56)
    return _inked(points, radius, side)


def _placed(ends: Tensor, random: np.random.Generator, count: int, side: int) -> Tensor:
    """Ends (S, 2) of strokes as each drawing has them (count, S, 2), in pixels."""

    def some(most: float, *shape: int) -> Tensor:
        return torch.from_numpy(random.uniform(-most, most, (count, *shape)))

    turn, shear, scale = some(_TURN, 1), some(_SHEAR, 1), 1 + some(_SCALE, 2)
    x, y = (scale[:, :, None] * (ends.T + some(_SHAKE * _ROOM * side, 2, len(ends)))).unbind(1)
    x = x + shear * y
    cosine, sine = (1 - turn * turn) / (1 + turn * turn), 2 * turn / (1 + turn * turn)
    turned = torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)
    return turned + side / 2 + some(_SHIFT * side, 1, 2)


def _along(lengths: list[int], ends: Tensor) -> tuple[Tensor, Tensor]:
    """Points along all strokes: after which end (P,), and how far to the next one (P,)."""
    last = np.cumsum(lengths) - 1
    start, share = [], []
    pieces_of = (ends[1:] - ends[:-1]).abs().amax(1) / _STEP
    for first, pieces in enumerate(pieces_of.ceil().clamp_min(1).int().tolist()):
        if first not in last:
            start += [first] * (pieces + 1)
            share += [i / pieces for i in range(pieces + 1)]
    return torch.tensor(start), torch.tensor(share, dtype=torch.float64)


def _inked(points: Tensor, radius: Tensor, side: int) -> Tensor:
    """Pictures (N, side, side), uint8, lit within `radius` (N,) pixels of points (N, P, 2)."""
    points, radius = points.float(), radius.float()
    reach = int(np.ceil(radius.max().item() + 0.5))
    first = (points - 0.5).floor()
    # The pixels of each axis that a point may reach; a margin around the picture takes the others.
    pixel = first[..., None] + torch.arange(1 - reach, reach + 1)
    off = (pixel + 0.5 - points[..., None]).square()
    place = pixel.clamp(-1, side).long() + 1
    distance = (off[:, :, 0, None, :] + off[:, :, 1, :, None]).sqrt()
    ink = (radius[:, None, None, None] + 0.5 - distance).clamp(0, 1)
    place = place[:, :, 0, None, :] + (side + 2) * place[:, :, 1, :, None]
    found = torch.zeros(len(points), (side + 2) ** 2)
    found.scatter_reduce_(1, place.flatten(1), ink.flatten(1), "amax")
    inside = found.unflatten(1, (side + 2, side + 2))[:, 1:-1, 1:-1]
    return (255 * inside).round().to(torch.uint8)
