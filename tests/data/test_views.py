"""Views are different images of one class, each in one item; items of one view are the images."""

from pathlib import Path

import pytest
import torch

from vaebench.data.images import Images, Request, Split
from vaebench.data.validation import check
from vaebench.data.views import viewed
from vaebench.errors import UserError
from vaebench.registry.lookup import load, located

SPLITS = ("train", "validation", "test")


def read(name):
    return load(name, Request(Path("nowhere")))


def test_views_of_an_item_are_of_its_class_and_no_image_is_twice_in_a_split():
    whole, found = read("digits"), read("digits[views=3]")
    check("it", found)
    assert (found.kind, found.layout.names) == ("modalities", ("view1", "view2", "view3"))
    assert {part.shape for part in found.parts.values()} == {(1, 8, 8)}
    assert {part.levels for part in found.parts.values()} == {17}
    for name in SPLITS:
        split, like = getattr(found, name), getattr(whole, name)
        keys = {
            pixels.numpy().tobytes(): int(label)
            for pixels, label in zip(like.pixels, like.labels, strict=True)
        }
        parts = [getattr(part, name) for part in found.parts.values()]
        used = [row.numpy().tobytes() for part in parts for row in part.pixels]
        assert len(set(used)) == len(used) == 3 * len(split) <= len(like)
        for part in parts:
            assert [keys[row.numpy().tobytes()] for row in part.pixels] == split.labels.tolist()
        counts = like.labels.bincount() // 3
        assert torch.equal(split.labels.bincount(), counts)


def test_views_are_the_same_again_and_named_in_the_order_of_options():
    one = read("digits[views=2]")
    assert one.hash() == read("digits[views=2]").hash() != read("digits[views=3]").hash()
    assert located("digits[views=2,labels=50]") == "digits[labels=50,views=2]"
    assert read("digits[views=2,labels=50]").labelled == 50


def test_items_of_one_view_are_the_images_in_their_order():
    whole, found = read("digits"), read("digits[views=1]")
    for name in SPLITS:
        part = getattr(found.parts["view1"], name)
        assert torch.equal(part.pixels, getattr(whole, name).pixels)
        assert torch.equal(part.labels, getattr(whole, name).labels)


def test_what_views_share_is_the_entropy_of_their_class():
    labels = torch.arange(12) % 4
    split = Split(torch.zeros(12, 1, 4, 4, dtype=torch.uint8), labels)
    assert "of 1.386 nats" in viewed("it", Images(split, split, split), 3).notes[-1]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("digits[views=50]", "no class of 50 images in its validation split: ask for fewer"),
        ("digits[views=0]", "write a number"),
        ("digits[views=many]", "write a number"),
        ("digits[views=200]", "from 1 to 100"),
        ("digits[views=2,given=label]", "given=label beside views=2.*leave out one"),
        ("digits[views=2,sets=5]", "views=2 beside sets=5.*leave out one"),
        ("digits[views=2,without=5]", "views=2 beside without=5.*leave out one"),
        ("hmm[views=2]", "no single pictures"),
        ("linear[views=2]", "no single pictures"),
    ],
)
def test_what_cannot_be_views_is_said_in_a_sentence(name, match):
    with pytest.raises(UserError, match=match):
        read(name)


def test_images_without_classes_or_with_a_condition_are_no_views():
    split = Split(torch.zeros(6, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(UserError, match="no classes"):
        viewed("it", Images(split, split, split), 2)
    given = Split(split.pixels, torch.zeros(6), given=torch.zeros(6, 2))
    with pytest.raises(UserError, match="condition of its own"):
        viewed("it", Images(given, given, given, given="so"), 2)
