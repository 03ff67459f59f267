"""What data sets of every kind have in common."""

import pytest
import torch

from vaebench.data import dataset
from vaebench.data.dataset import bounded
from vaebench.data.images import Images, Request, Split
from vaebench.registry.lookup import load


def numbered(count, start=0):
    pixels = torch.arange(start, start + count).to(torch.uint8).reshape(-1, 1, 1, 1)
    return Split(pixels, labels=torch.arange(count) % 3)


def test_held_out_items_beyond_the_most_are_left_out_and_it_is_said(monkeypatch):
    monkeypatch.setattr(dataset, "MOST", 10)
    images = Images(numbered(50), numbered(10, 50), numbered(12, 60))
    found = bounded(images)
    assert found.train is images.train and found.validation is images.validation
    assert found.test.pixels.flatten().tolist() == list(range(60, 70))
    assert found.test.labels.tolist() == images.test.labels[:10].tolist()
    (note,) = found.notes
    assert "12 of test" in note and "10 each" in note and "validation" not in note
    assert bounded(found) is found


def test_the_digits_are_all_there():
    found = load("digits", Request(None))
    assert (len(found.validation), len(found.test)) == (200, 400)
    assert not any("random sample" in note for note in found.notes)


@pytest.mark.parametrize("name", ["hmm[items=400]", "digits[sets=5]", "digits[views=2]"])
def test_items_of_every_kind_are_bounded(monkeypatch, name):
    monkeypatch.setattr(dataset, "MOST", 7)
    found = load(name, Request(None))
    assert len(found.validation) == len(found.test) == 7 < len(found.train)
    assert "random sample of 7" in found.notes[-1]
