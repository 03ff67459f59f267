"""Items of several parts: views of one digit class, each on a background of its own kind.

A view is one of scikit-learn's digits, in colour, light on a pattern. Which digit of the class it
is, its tint and the pattern are drawn for each view anew: views are independent given the class,
and what one says of another is the class, log 10 = 2.303 nats at most.

References:
    Sutter, Daunhawer & Vogt 2021, Generalized multimodal ELBO, arXiv 2105.02470, sec. 4.2:
    PolyMNIST, whose backgrounds are photographs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import interpolate

from vaebench.data import digits
from vaebench.data.images import Images, Request, Split
from vaebench.data.modalities import Modalities, aligned
from vaebench.data.synthetic import within
from vaebench.errors import UserError

CLASSES = 10
#: Items for validation, and as many for testing.
HELD_OUT = 1_000
SIDES = (16, 32)
#: The most training items.
_MOST = 100_000
#: How far colours of patterns and digits are from those of their view.
_TINT = 0.12
#: Numbers (N, 1, 1) in [-1, 1] that a pattern is drawn from, and the places (1, 1, S) and (1, S, 1)
#: of pixels in [-1, 1].
Pattern = Callable[[Callable[[], np.ndarray], np.ndarray, np.ndarray], np.ndarray]


def _wave(s: np.ndarray) -> np.ndarray:
    """A wave of straight lines between 0 and 1, of period 2."""
    return np.abs(s % 2 - 1)


def _along(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far pixels are in a random direction."""
    t = draw()
    return ((1 - t * t) * x + 2 * t * y) / (1 + t * t)


def _slope(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (1 + np.where(draw() > 0, 0.7, -0.7) * _along(draw, x, y)) / 2


def _stripes(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _wave((2.5 + 0.5 * draw()) * _along(draw, x, y) + draw())


def _checks(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wide = 2 + 0.5 * draw()
    return (np.floor(wide * x + draw()) + np.floor(wide * y + draw())) % 2


def _rings(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _wave(3 * np.sqrt((x - draw()) ** 2 + (y - draw()) ** 2) + draw())


def _clouds(draw: Callable[[], np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    knots = np.linspace(-1, 1, 4)
    return sum(
        (0.5 + 0.5 * draw())
        * np.maximum(0, 1 - 1.5 * np.abs(x - across))
        * np.maximum(0, 1 - 1.5 * np.abs(y - down))
        for across in knots
        for down in knots
    )


#: What each view has behind its digits: a pattern between two colours.
VIEWS: tuple[tuple[Pattern, tuple[float, float, float], tuple[float, float, float]], ...] = (
    (_slope, (0.05, 0.10, 0.45), (0.45, 0.15, 0.15)),
    (_stripes, (0.05, 0.20, 0.10), (0.15, 0.50, 0.20)),
    (_checks, (0.30, 0.12, 0.08), (0.50, 0.35, 0.12)),
    (_rings, (0.08, 0.08, 0.12), (0.15, 0.35, 0.55)),
    (_clouds, (0.15, 0.05, 0.25), (0.55, 0.20, 0.45)),
)


def read(request: Request, *, views: int = 5, items: int = 10_000, subset: int = 0) -> Modalities:
    """Items of colour pictures ``view1`` to ``viewM``, in random order, with as many of each class.

    No two splits show the same digit.

    Args:
        request: Its size is 16 or 32 pixels, 16 by default.
        views: M; a view is the same whatever their number.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of what is drawn.

    Raises:
        UserError: There are not so many, or none of that size.
    """
    side = request.size or SIDES[0]
    if side not in SIDES:
        raise UserError(f"polydigits are 16 or 32 pixels wide, not {side}: change --image-size.")
    within("polydigits[views]", views, 1, len(VIEWS))
    within("polydigits[items]", items, CLASSES, _MOST)
    if subset < 0:
        raise UserError(f"polydigits[subset] must be 0 or more, not {subset}.")
    found = digits.read(request)
    plan = ((found.test, HELD_OUT), (found.validation, HELD_OUT), (found.train, items))
    drawn = []
    for part, (split, count) in enumerate(plan):
        labels = _labels(np.random.default_rng([subset, part]), count)
        drawn.append(
            [_view(number, split, labels, [subset, part], side) for number in range(views)]
        )
    test, validation, train = drawn
    note = (
        "Views are independent given their class: what one says of another is "
        f"{np.log(CLASSES):.3f} nats at most."
    )
    return aligned(
        {f"view{m + 1}": Images(train[m], validation[m], test[m]) for m in range(views)},
        notes=(note,),
    )


def _labels(random: np.random.Generator, count: int) -> np.ndarray:
    return random.permutation(np.arange(count) % CLASSES)


def _view(number: int, digits_of: Split, labels: np.ndarray, seed: list[int], side: int) -> Split:
    """Pictures of classes (N,): a digit of the split each, on the background of a view."""
    random = np.random.default_rng([*seed, number])
    assert digits_of.labels is not None
    rows = np.empty(len(labels), np.int64)
    for label in range(CLASSES):
        mine = np.flatnonzero(digits_of.labels.numpy() == label)
        of = labels == label
        rows[of] = mine[random.integers(len(mine), size=of.sum())]
    ink = enlarged(digits_of.pixels[rows], side)
    behind = background(number, random, len(labels), side)
    light = 1 - 2 * _TINT * random.random((len(labels), 3, 1, 1))
    shown = behind + ink * (light - behind)
    return Split(torch.from_numpy(np.rint(255 * shown).astype(np.uint8)), torch.from_numpy(labels))


def enlarged(pixels: torch.Tensor, side: int) -> np.ndarray:
    """Digits (N, 1, 8, 8) of 17 levels as ink (N, 1, side, side) in [0, 1]."""
    grey = pixels.double() / 16
    return interpolate(grey, (side, side), mode="bilinear", align_corners=False).numpy()


def background(number: int, random: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Backgrounds (count, 3, side, side) in [0, 1] of view `number`, counted from zero."""
    pattern, *colours = VIEWS[number]
    places = (2 * np.arange(side) + 1) / side - 1

    def draw() -> np.ndarray:
        return random.uniform(-1, 1, (count, 1, 1))

    mixed = pattern(draw, places[None, None, :], places[None, :, None])[:, None]
    first, second = (
        np.array(colour)[:, None, None] + _TINT * random.uniform(-1, 1, (count, 3, 1, 1))
        for colour in colours
    )
    return np.clip(first + mixed * (second - first), 0, 1)
