"""Views show the class of their item on backgrounds of their own, the same for every setting."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vaebench.data import digits, polydigits
from vaebench.data.images import Request
from vaebench.data.polydigits import VIEWS, background, enlarged, read
from vaebench.data.validation import check
from vaebench.errors import UserError

HERE = Request(Path("nowhere"))


@pytest.fixture(scope="module")
def found():
    return read(HERE, items=30)


def test_items_have_a_class_as_often_as_each_other(found):
    check("it", found)
    assert found.layout.names == ("view1", "view2", "view3", "view4", "view5")
    assert {part.shape for part in found.parts.values()} == {(3, 16, 16)}
    for split, count in ((found.train, 30), (found.validation, 1000), (found.test, 1000)):
        assert split.labels.bincount().tolist() == [count // 10] * 10
    assert len(found.test.stored.unique(dim=0)) == 1000


def test_a_view_is_the_same_whatever_else_is_asked_for(found):
    assert read(HERE, items=30).hash() == found.hash() != read(HERE, items=30, subset=1).hash()
    fewer = read(HERE, views=2, items=100)
    for name in ("view1", "view2"):
        assert torch.equal(fewer.parts[name].test.pixels, found.parts[name].test.pixels)
    assert read(Request(Path("nowhere"), size=32), items=30, views=1).parts["view1"].shape == (
        *(3, 32, 32),
    )


def test_pictures_are_digits_of_their_split_in_front_of_their_background(monkeypatch):
    # Of a black background and white digits the ink is left.
    monkeypatch.setattr(polydigits, "_TINT", 0.0)
    monkeypatch.setattr(
        polydigits, "VIEWS", tuple((pattern, (0.0,) * 3, (0.0,) * 3) for pattern, *_ in VIEWS)
    )
    found, source = read(HERE, views=2, items=50), digits.read(HERE)
    for name in ("train", "validation", "test"):
        split = getattr(source, name)
        ink = np.rint(255 * enlarged(split.pixels, 16)).astype(np.uint8)
        classes = {key.tobytes(): int(k) for key, k in zip(ink, split.labels, strict=True)}
        for part in found.parts.values():
            mine = getattr(part, name)
            keys = [key[:1].numpy().tobytes() for key in mine.pixels]
            assert [classes[key] for key in keys] == mine.labels.tolist()


def test_which_digits_views_show_is_independent_given_their_class(monkeypatch):
    monkeypatch.setattr(polydigits, "enlarged", lambda pixels, side: pixels.numpy() / 255)
    monkeypatch.setattr(polydigits, "background", lambda *_: np.zeros((1, 3, 8, 8)))
    monkeypatch.setattr(polydigits, "_TINT", 0.0)
    found = read(HERE, views=2)
    one, other = (part.train.pixels.flatten(1) for part in found.parts.values())
    same = (one == other).all(1).double().mean().item()
    count = digits.read(HERE).train.labels.bincount().double()
    expected = (1 / count).mean().item()
    assert same == pytest.approx(expected, abs=4 * (expected / 10_000) ** 0.5)


@pytest.mark.parametrize("number", range(len(VIEWS)))
def test_backgrounds_leave_room_for_light_digits_and_differ(number):
    drawn = background(number, np.random.default_rng(0), 200, 16)
    assert drawn.shape == (200, 3, 16, 16) and drawn.min() >= 0 and drawn.max() < 0.7
    assert (drawn.std((1, 2, 3)) > 0.01).all() and (drawn.std(0) > 0.01).all()


def test_backgrounds_differ_in_their_mean_colours():
    drawn = [background(m, np.random.default_rng(0), 500, 16) for m in range(len(VIEWS))]
    means = np.stack([some.mean((0, 2, 3)) for some in drawn])
    apart = np.abs(means[:, None] - means).max(-1) + np.eye(len(VIEWS))
    assert apart.min() > 0.1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"views": 6}, r"polydigits\[views\] must be from 1 to 5"),
        ({"views": 0}, "from 1 to 5"),
        ({"items": 9}, r"polydigits\[items\]"),
        ({"subset": -1}, r"polydigits\[subset\] must be 0 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said(options, match):
    with pytest.raises(UserError, match=match):
        read(HERE, **options)


def test_other_sizes_are_refused():
    with pytest.raises(UserError, match="16 or 32 pixels wide, not 28: change --image-size"):
        read(Request(Path("nowhere"), size=28))
