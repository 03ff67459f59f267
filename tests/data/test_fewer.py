"""Training on fewer items: a random sample, nested, with validation and test as they were."""

from pathlib import Path

import pytest
import torch

from tests.cells import digits
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.registry.lookup import load, located


def read(name):
    return load(name, Request(Path("nowhere")))


def test_training_has_that_many_and_the_rest_is_as_it_was():
    whole, part, least = digits(), read("digits[train=300]"), read("digits[train=60]")
    assert torch.equal(part.train.pixels, whole.train.pixels[:300])
    assert torch.equal(part.train.labels, whole.train.labels[:300])
    assert torch.equal(least.train.pixels, part.train.pixels[:60])
    for name in ("validation", "test"):
        assert torch.equal(getattr(part, name).pixels, getattr(whole, name).pixels)
    assert any("300 of 1,197 images, a random sample" in note for note in part.notes)
    assert len({each.hash() for each in (whole, part, least)}) == 3
    assert read("digits[train=1197]").hash() == whole.hash()


def test_a_sample_has_each_class_about_as_often():
    labels = read("digits[train=300]").train.labels
    assert torch.bincount(labels, minlength=10).min() >= 15


def test_it_goes_with_the_other_options():
    part = read("digits[train=300,without=9,labels=50]")
    assert len(part.train) == 300 and 9 not in part.train.labels and part.labelled == 50
    sets = read("digits[sets=5,train=300]")
    assert len(sets.train) < len(read("digits[sets=5]").train)
    text = read("topics[train=100]")
    assert len(text.train) == 100 and text.log_prob is not None


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "9" * 30])
def test_what_is_no_number_is_refused_before_anything_is_read(number):
    with pytest.raises(UserError, match="does not say how many items training has"):
        located(f"digits[train={number}]")


def test_more_than_there_are_is_refused():
    with pytest.raises(UserError, match="has 1,197 training images: train takes at most 1197"):
        read("digits[train=1198]")
