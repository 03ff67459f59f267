"""Sprites are what their factors say, all different, and the same everywhere."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import vaebench
from vaebench.data import sprites
from vaebench.data.images import Request
from vaebench.data.sprites import COUNT, FACTORS, factors_of, render
from vaebench.errors import UserError
from vaebench.registry.lookup import load, located

SIZES = tuple(FACTORS.values())


def some(count=3000):
    return factors_of(np.random.default_rng(1).permutation(COUNT)[:count])


def phases(side):
    """Places that are not whole pixels away from each other: factors, and places of each kind."""
    repeat = 64 // side
    grid = np.indices((*SIZES[:3], repeat, repeat)).reshape(5, -1).T
    return grid, 32 // repeat


@pytest.mark.parametrize("side", sprites.SIDES)
def test_places_are_pixels_apart(side):
    step = 64 // side
    factors = some()
    factors = factors[(factors[:, 3] + step < 32) & (factors[:, 4] + step < 32)]
    moved = factors + np.array([0, 0, 0, step, step])
    assert np.array_equal(render(moved, side)[:, 1:, 1:], render(factors, side)[:, :-1, :-1])


@pytest.mark.parametrize("side", sprites.SIDES)
def test_no_two_pictures_are_the_same(side):
    """Pictures a whole number of pixels apart are copies; equal crops differ by their place."""
    factors, places = phases(side)
    found = defaultdict(set)
    for picture in render(factors, side):
        rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
        crop = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        corners = np.indices((places, places)).reshape(2, -1).T + np.array([rows[0], columns[0]])
        found[crop.shape, crop.tobytes()] |= set(map(tuple, corners.tolist()))
    assert sum(map(len, found.values())) == COUNT == 737_280
    assert math.log(COUNT) == pytest.approx(13.511, abs=5e-4)


@pytest.mark.parametrize("side", sprites.SIDES)
def test_areas_are_those_of_the_shapes(side):
    """On average over all sizes, angles and places inside a pixel."""
    factors, _ = phases(side)
    area = render(factors, side).sum((1, 2)) * (128 // side) ** 2
    scale = ((5 + factors[:, 1]) / 10) ** 2
    for shape, exact in enumerate((5 / 12 * 49**2, math.pi * 30**2 / 2, 43**2 - 22**2)):
        rows = factors[:, 0] == shape
        ratio = area[rows] / (exact * scale[rows])
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(rows.sum())


def test_sprites_are_whole_at_every_place():
    factors, _ = phases(64)
    corners = render(factors, 64), render(factors + np.array([0, 0, 0, 31, 31]), 64)
    assert not any(edge.any() for edge in (corners[0][:, 0], corners[0][:, :, 0]))
    assert not any(edge.any() for edge in (corners[1][:, -1], corners[1][:, :, -1]))


def test_centres_are_where_x_and_y_say():
    factors = some()
    pictures = render(factors, 64).astype(float)
    for axis, column in ((1, 3), (2, 4)):
        profile = pictures.sum(axis)
        centre = (profile * (np.arange(64) + 0.5)).sum(1) / profile.sum(1)
        assert np.abs(centre - 16.5 - factors[:, column]).max() < 1.5


def test_angles_turn_by_nine_degrees():
    """Ten of them are a quarter: pixels change places and no more."""
    factors = some()
    factors = factors[(factors[:, 2] < 30)]
    middle = factors.copy()
    middle[:, 3:] = 15
    turned = middle + np.array([0, 0, 10, 0, 0])
    # The place of 15 is half a pixel before the centre; a turn about it keeps rows 0 to 62.
    before, after = (render(each, 64)[:, :63, :63] for each in (middle, turned))
    assert np.array_equal(np.rot90(before, -1, (1, 2)), after)


def test_the_data_set_is_the_same_on_every_machine():
    images = load("sprites", Request(Path("nowhere")))
    assert [len(s) for s in (images.train, images.validation, images.test)] == [10_000, 2000, 2000]
    assert images.shape == (1, 32, 32) and images.levels == 2
    assert images.factors == ("shape", "size", "angle", "x", "y")
    assert images.hash() == "19db7fb3bb8e3573"
    assert not images.notes
    for split in (images.train, images.validation, images.test):
        assert torch.equal(split.labels, split.factors[:, 0])
        assert len(split.factors.unique(dim=0)) == len(split)
        assert split.factors.amax(0).tolist() == [size - 1 for size in SIZES]
    large = load("sprites[items=100]", Request(Path("nowhere"), size=64))
    assert large.shape == (1, 64, 64) and large.hash() == "9e9b735d4d9033b7"
    assert torch.equal(large.train.factors, images.train.factors[:100])


def test_subsets_differ_and_share_nothing_between_splits():
    images, other = (vaebench.read(f"sprites[items=500{more}]") for more in ("", ",subset=1"))
    assert images.hash() != other.hash()
    rows = torch.cat([s.factors for s in (other.train, other.validation, other.test)])
    assert len(rows.unique(dim=0)) == 4500
    assert located("sprites[subset=1,items=0500]") == "sprites[items=500,subset=1]"
    assert vaebench.read("sprites", image_size=64).shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("sprites", 28, "32 or 64 pixels wide, not 28"),
        ("sprites[items=0]", None, "from 1 to 733280, not 0"),
        ("sprites[items=733281]", None, "from 1 to 733280"),
        ("sprites[subset=-1]", None, "0 or more"),
        ("sprites[items=many]", None, r"sprites\[items\] takes a value of type int"),
        ("sprites[item=4]", None, "Did you mean 'items'"),
        ("digits", 32, "digits comes in 8×8 only"),
    ],
)
def test_what_there_is_not(name, size, message):
    with pytest.raises(UserError, match=message):
        vaebench.read(name, image_size=size)
