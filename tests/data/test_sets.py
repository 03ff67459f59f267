"""Sets hold images of one class, each in one set; sets of one are the images as they were."""

from pathlib import Path

import pytest
import torch

from vaebench.data.dataset import subset
from vaebench.data.images import Images, Request, Split
from vaebench.data.sets import Sets, chosen, grouped
from vaebench.data.validation import check
from vaebench.errors import UserError
from vaebench.registry.lookup import load, located

LABELS = torch.tensor([3, 1, 3, 3, 1, 2, 1, 3, 1, 2, 3])


def read(name):
    return load(name, Request(Path("nowhere")))


def images(count=11):
    pixels = torch.arange(count * 16).reshape(count, 1, 4, 4).to(torch.uint8)
    split = Split(pixels, LABELS[:count])
    return Images(split, split, split)


def test_sets_are_filled_in_order_and_stand_in_the_order_of_their_last_images():
    assert chosen(LABELS, 2).tolist() == [[0, 2], [1, 4], [3, 7], [6, 8], [5, 9]]
    assert chosen(LABELS, 1)[:, 0].tolist() == list(range(11))
    assert chosen(LABELS, 3).tolist() == [[0, 2, 3], [1, 4, 6]]
    assert not len(chosen(LABELS, 6))


def test_a_set_has_the_class_of_its_images_and_no_image_is_in_two():
    found = grouped("it", images(), 2)
    assert found.shape == (2, 1, 4, 4) and found.part == (1, 4, 4) and found.elements == 2
    assert found.train.labels.tolist() == [3, 1, 3, 1, 2]
    first = found.train.pixels[:, :, 0, 0, 0].flatten()
    assert len(first.unique()) == 10
    assert found.notes[-1].endswith(
        "3 images, too few of their class and split for another one, are left out."
    )
    assert found.members == round(10 / 3)


def test_digits_in_sets_are_the_digits():
    whole, found = read("digits"), read("digits[sets=5]")
    check("it", found)
    keys = {
        row.numpy().tobytes(): int(k)
        for row, k in zip(whole.train.pixels, whole.train.labels, strict=True)
    }
    for pixels, label in zip(found.train.pixels, found.train.labels, strict=True):
        assert {keys[row.numpy().tobytes()] for row in pixels} == {int(label)}
    assert (found.kind, found.made_of, found.noun) == ("sets", "pictures", "set")
    assert len({read(name).hash() for name in ("digits", "digits[sets=1]", "digits[sets=5]")}) == 3
    assert found.hash() == read("digits[sets=5]").hash()
    assert located("digits[without=3,sets=5]") == "digits[sets=5,without=3]"


def test_sets_of_one_are_the_images_in_their_order():
    whole, found = read("digits"), read("digits[sets=1]")
    for one, other in ((whole.train, found.train), (whole.test, found.test)):
        assert torch.equal(other.pixels[:, 0], one.pixels)
        assert torch.equal(other.labels, one.labels)


def test_a_class_is_left_out_of_sets_too():
    found = read("digits[sets=4,without=9]")
    assert 9 not in found.train.labels and set(found.outside.labels.tolist()) == {9}
    assert found.outside.pixels.shape[1:] == (4, 1, 8, 8)
    assert read("digits[sets=4,labels=50]").labelled == 50


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("digits[sets=50]", "no class of 50 images in its validation split: ask for smaller"),
        ("digits[sets=0]", "write a number"),
        ("digits[sets=many]", "write a number"),
        ("digits[sets=5,given=label]", "given=label beside sets=5.*leave out one"),
        ("hmm[sets=5]", "no single pictures"),
        ("linear[sets=5]", "no single pictures"),
    ],
)
def test_what_cannot_be_in_sets_is_said_in_a_sentence(name, match):
    with pytest.raises(UserError, match=match):
        read(name)


def test_images_without_classes_or_with_a_condition_make_no_sets():
    split = Split(torch.zeros(6, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(UserError, match="no classes"):
        grouped("it", Images(split, split, split), 2)
    given = Split(split.pixels, LABELS[:6], given=torch.zeros(6, 2))
    with pytest.raises(UserError, match="condition of its own"):
        grouped("it", Images(given, given, given, given="so"), 2)


def test_what_a_reader_returns_as_sets_is_examined():
    good = torch.zeros(6, 2, 1, 4, 4, dtype=torch.uint8)
    for pixels, match in (
        (good.double(), "uint8 of stored levels or float32"),
        (good[:, 0], "N, n, C, H, W"),
        (good.expand(6, 2, 2, 4, 4), "2 channels"),
        (good + 255, "levels"),
        (good.float() / 0, "not finite"),
    ):
        split = Split(pixels)
        with pytest.raises(UserError, match=match):
            check("it", Sets(split, split, split, levels=2))
    split, other = Split(good), Split(good[:, :1])
    with pytest.raises(UserError, match="other sets than its train split"):
        check("it", Sets(split, other, split))
    check("it", Sets(split, subset(split, slice(3)), split))
