"""A class is left out of every split, and the data set that remains is another one."""

from pathlib import Path

import pytest
import torch

from tests.cells import digits
from vaebench.config.names import spelled
from vaebench.data import heldout, sprites
from vaebench.data.images import Images, Request, Split
from vaebench.errors import UserError
from vaebench.registry.lookup import load, located, source


def read(name):
    return load(name, Request(Path("nowhere")))


def test_the_class_is_in_no_split_and_everything_else_is_as_it_was():
    whole, part = digits(), read("digits[without=9]")
    for name in ("train", "validation", "test"):
        before, after = getattr(whole, name), getattr(part, name)
        rows = before.labels != 9
        assert (~rows).any()
        assert torch.equal(after.pixels, before.pixels[rows])
        assert torch.equal(after.labels, before.labels[rows])
    splits = (whole.test, whole.validation, whole.train)
    nines = torch.cat([split.pixels[split.labels == 9] for split in splits])
    assert torch.equal(part.outside.pixels, nines)
    assert (part.outside.labels == 9).all() and part.levels == whole.levels
    assert whole.outside is None


def test_each_is_a_data_set_of_its_own():
    hashes = {read(name).hash() for name in ("digits", "digits[without=9]", "digits[without=8]")}
    assert len(hashes) == 3
    part = read("digits[without=9]")
    bare = Images(part.train, part.validation, part.test, part.levels)
    assert bare.hash() != part.hash()
    assert source("digits[without=9]") is source("digits")


def test_names_are_taken_apart():
    assert spelled("mnist") == ("mnist", {})
    assert spelled("mnist[without=3]") == ("mnist", {"without": "3"})
    assert spelled("folder:/a[b]") == ("folder:/a[b]", {})
    with pytest.raises(UserError, match=r"No option of mnist: 'with'\. Did you mean 'without'"):
        located("mnist[with=3]")
    with pytest.raises(
        UserError, match=r"option of mnist: .size..*given, labels, sets, train, views, without"
    ):
        located("mnist[without=3,size=2]")
    assert located("mnist[]") == "mnist"


def test_factors_stay_with_their_pictures():
    part = load("sprites[items=40,without=1]", Request(Path("nowhere")))
    for split in (part.train, part.validation, part.test, part.outside):
        pictures = sprites.render(split.factors.numpy(), 32)
        assert torch.equal(split.pixels, torch.from_numpy(pictures)[:, None])
    assert set(part.train.factors[:, 0].tolist()) == {0, 2}
    assert set(part.outside.factors[:, 0].tolist()) == {1}


def test_classes_that_cannot_be_left_out():
    with pytest.raises(UserError, match="no class '11'; its classes are 0, 1, 2"):
        read("digits[without=11]")
    whole = digits()
    bare = Images(*(Split(s.pixels) for s in (whole.train, whole.validation, whole.test)), 17)
    with pytest.raises(UserError, match="has no labels"):
        heldout.without("It", bare, "9")
    other = Split(whole.test.pixels, whole.test.labels + 1)
    with pytest.raises(UserError, match="other classes"):
        heldout.without("It", Images(whole.train, whole.validation, other, 17), "9")
