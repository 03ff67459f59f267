"""Sprites: binary pictures drawn from five factors, in integers, so that all is known of them.

A picture shows one of three shapes in one of six sizes at one of 40 angles and 32 × 32 places. At
32 and at 64 pixels a side no two of the 737,280 pictures are the same, so that the factors follow
from the picture, and the entropy of one that is drawn at random is log 737,280 = 13.511 nats.

References:
    Matthey et al. 2017, dSprites, which has as many pictures; two of its three shapes look the
    same at several angles.
"""

from collections.abc import Callable
from functools import cache
from itertools import product

import numpy as np
import torch

from vaebench.data.images import Images, Request, Split
from vaebench.errors import UserError

#: How many values each factor has.
FACTORS = {"shape": 3, "size": 6, "angle": 40, "x": 32, "y": 32}
COUNT = int(np.prod([*FACTORS.values()]))
SIDES = (32, 64)
#: Pictures for validation, and as many for testing.
HELD_OUT = 2_000

# Lengths are integers, 128 to the side of a picture: places are 2 apart, no shape is wider than 64.
_UNITS, _FIRST, _STEP, _REACH = 128, 33, 2, 32
#: Cosine and sine of the angles, 2^14 times: rounded, they are the same on every machine. The
#: angles 4.5°, 13.5°, … leave no edge along rows of pixels, where different sizes look the same.
_ONE = 2**14
_TURNS = 2 * np.pi * (np.arange(FACTORS["angle"]) + 0.5) / FACTORS["angle"]
_COSINES, _SINES = (np.rint(_ONE * f(_TURNS)).astype(np.int64) for f in (np.cos, np.sin))
#: Sizes are 5/10, 6/10, …, 10/10.
_SMALLEST, _WHOLE = 5, 10
_CHUNK = 512


def _triangle(u: np.ndarray, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of one corner (32, 0) on a base at u = -17; sides lean 5 to 12."""
    return (u >= -17 * k) & (5 * u + 12 * np.abs(v) <= 160 * k)


def _half_disc(u: np.ndarray, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of radius 30 around (-11, 0)."""
    return (u >= -11 * k) & ((u + 11 * k) ** 2 + v**2 <= (30 * k) ** 2)


def _corner(u: np.ndarray, v: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of two bars, 43 × 21, that meet at (-18, -18)."""
    low, high = np.minimum(u, v), np.maximum(u, v)
    return (low >= -18 * k) & (low <= 3 * k) & (high <= 25 * k)


#: Whether points (u, v) are inside a shape that is enlarged k times, all of them integers. None
#: looks the same at two angles.
_SHAPES: tuple[Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], ...] = (
    _triangle,
    _half_disc,
    _corner,
)


def read(request: Request, *, items: int = 10_000, subset: int = 0) -> Images:
    """Sprites without repetition: factors, and shapes as labels.

    Args:
        request: Its size is 32 or 64 pixels, 32 by default.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of the choice among all combinations of factors.

    Raises:
        UserError: There are not so many, or none of that size.
    """
    side = request.size or SIDES[0]
    if side not in SIDES:
        raise UserError(f"sprites are 32 or 64 pixels wide, not {side}: change --image-size.")
    if not 1 <= items <= COUNT - 2 * HELD_OUT:
        raise UserError(f"sprites[items] must be from 1 to {COUNT - 2 * HELD_OUT}, not {items}.")
    if subset < 0:
        raise UserError(f"sprites[subset] must be 0 or more, not {subset}.")
    order = np.random.default_rng(subset).permutation(COUNT)[: 2 * HELD_OUT + items]
    test, validation, train = (
        _split(part, side) for part in np.split(order, (HELD_OUT, 2 * HELD_OUT))
    )
    return Images(train, validation, test, levels=2, factors=tuple(FACTORS))


def _split(rows: np.ndarray, side: int) -> Split:
    factors = factors_of(rows)
    pixels = torch.from_numpy(render(factors, side))[:, None]
    return Split(pixels, torch.from_numpy(factors[:, 0].copy()), torch.from_numpy(factors))


def factors_of(rows: np.ndarray) -> np.ndarray:
    """Factors (N, 5), counted from zero, of the pictures numbered (N,) 0, …, 737,279."""
    return np.stack(np.unravel_index(rows, [*FACTORS.values()]), 1).astype(np.int64)


def render(factors: np.ndarray, side: int) -> np.ndarray:
    """Pictures (N, side, side), uint8: 1 where the centre of a pixel is in the shape, else 0.

    Args:
        factors: Shape, size, angle, x and y (N, 5), counted from zero.
        side: 32 or 64.
    """
    pixels = np.zeros((len(factors), side, side), np.uint8)
    for shape, inside in enumerate(_SHAPES):
        (rows,) = np.nonzero(factors[:, 0] == shape)
        for some in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
            _, size, angle, x, y = factors[some].T[:, :, None]
            (column, across), (row, down) = (_window(_FIRST + _STEP * at, side) for at in (x, y))
            across, down, angle = across[:, None, :], down[:, :, None], angle[:, :, None]
            u = _WHOLE * (_COSINES[angle] * across + _SINES[angle] * down)
            v = _WHOLE * (_COSINES[angle] * down - _SINES[angle] * across)
            seen = inside(u, v, _ONE * (_SMALLEST + size[:, :, None]))
            pixels[some[:, None, None], row[:, :, None], column[:, None, :]] = seen
    return pixels


def _window(middle: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels (N, W) that a sprite around `middle` (N, 1) may reach, and their distances."""
    pixel = _UNITS // side
    indices = (middle - _REACH) // pixel + np.arange(2 * _REACH // pixel + 1)
    return indices, pixel * indices + pixel // 2 - middle


def seen(pictures: np.ndarray) -> np.ndarray:
    """The factors (N, 5) of pictures (N, side, side), uint8; -1 where one shows no sprite.

    Raises:
        ValueError: They are of another size.
    """
    side = pictures.shape[-1]
    if side not in SIDES:
        raise ValueError(f"Sprites are 32 or 64 pixels wide, not {side}.")
    known = _outlines(side)
    found = np.full((len(pictures), len(FACTORS)), -1)
    period = _UNITS // side // _STEP
    for row, picture in zip(found, pictures, strict=True):
        key, corner = _outline(picture)
        if key in known:
            *row[:3], x, y = known[key][0]
            moved = (corner - known[key][1]) * period
            row[3:] = np.array([x, y]) + moved[::-1]
    inside = (found[:, 3:] >= 0) & (found[:, 3:] < [FACTORS["x"], FACTORS["y"]])
    return np.where(inside.all(1, keepdims=True), found, -1)


@cache
def _outlines(side: int) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
    """Factors and corner of a sprite of each outline: all others are as many pixels away."""
    period = _UNITS // side // _STEP
    middle = [count // 2 // period * period for count in (FACTORS["x"], FACTORS["y"])]
    steps = [range(start, start + period) for start in middle]
    every = np.array([*product(range(3), range(6), range(40), *steps)])
    found = {}
    for factors, picture in zip(every, render(every, side), strict=True):
        key, corner = _outline(picture)
        found[key] = factors, corner
    return found


def _outline(picture: np.ndarray) -> tuple[bytes, np.ndarray]:
    """What is shown, wherever that is, and the row and column of its corner."""
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    if not len(rows):
        return b"", np.zeros(2, np.int64)
    shown = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return bytes(shown.shape) + shown.tobytes(), np.array([rows[0], columns[0]])
