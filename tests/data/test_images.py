"""The order of images is random wherever their reader does not say that it is."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaebench.data.builtin import SOURCES
from vaebench.data.images import Images, Request, Source, Split, holdout, stratified
from vaebench.data.remarks import remarks
from vaebench.errors import UserError
from vaebench.registry import lookup


def counting(counts=(300, 30, 200)):
    """A data set in order of classes: ten of them, shown by the pixel."""
    labels = [torch.arange(n) * 10 // n for n in counts]
    pixels = [x.to(torch.uint8).view(-1, 1, 1, 1) * 20 for x in labels]
    splits = (Split(p, x, x[:, None]) for p, x in zip(pixels, labels, strict=True))
    return Images(*splits, factors=("class",))


@pytest.fixture
def loaded(monkeypatch):
    """Load a source as if it was installed."""

    def load(source):
        monkeypatch.setattr(lookup, "source", lambda name: source)
        return lookup.load("any", Request("."))

    return load


def test_every_split_of_a_source_is_permuted_with_its_labels(loaded):
    whole = counting()
    found = loaded(Source("", "", lambda request: whole))
    for name in ("train", "validation", "test"):
        before, after = getattr(whole, name), getattr(found, name)
        assert torch.equal(after.pixels.flatten(), after.labels.to(torch.uint8) * 20)
        assert torch.equal(after.factors[:, 0], after.labels)
        assert Counter(after.labels.tolist()) == Counter(before.labels.tolist())
        assert not torch.equal(after.labels, before.labels)
    assert len(found.test.labels[:30].unique()) >= 8
    assert found.hash() == loaded(Source("", "", lambda request: counting())).hash()


def test_a_source_that_is_shuffled_stays_as_it_is(loaded):
    whole = counting()
    assert loaded(Source("", "", lambda request: whole, shuffled=True)).hash() == whole.hash()
    known = {name for name, source in SOURCES.items() if source.shuffled}
    pictures = {"digits", "mnist", "fashion-mnist", "cifar10", "sprites"}
    pictures |= {"polydigits", "captions", "folder"}
    assert known == pictures | {"hmm", "topics", "grammar", "wordnet", "linear"}


def test_a_held_out_part_keeps_all_that_is_known():
    whole = counting().train
    before, after = holdout(whole, 40)
    assert (len(before), len(after)) == (260, 40)
    for name in ("pixels", "labels", "factors"):
        parts = [getattr(part, name) for part in (before, after)]
        assert torch.equal(torch.cat(parts), getattr(whole, name))
    assert all(part.factors is None for part in holdout(Split(whole.pixels), 40))


@pytest.mark.parametrize(
    ("factors", "names", "message"),
    [
        (torch.zeros(30, 1), ("class",), "float32 \\(30, 1\\) as factors"),
        (torch.zeros(30, 2, dtype=torch.long), ("class",), "integers of shape \\(30, 1\\)"),
        (torch.zeros(30, 1, dtype=torch.long), (), "integers of shape \\(300, 0\\)"),
        (None, ("class",), "None as factors"),
        (torch.zeros(30, 1, dtype=torch.long), ["class"], "not by a tuple of texts"),
    ],
)
def test_factors_that_do_not_fit_are_refused(loaded, factors, names, message):
    whole = counting()
    wrong = replace(whole, validation=replace(whole.validation, factors=factors), factors=names)
    with pytest.raises(UserError, match=f"'any' has a (train|validation) split .*{message}"):
        loaded(Source("", "", lambda request: wrong))


def test_negatives_are_made_where_a_source_says_so(loaded):
    whole = counting()
    found = loaded(Source("", "", lambda request: whole, shuffled=True, inverted=True))
    assert torch.equal(found.test.pixels, 255 - whole.test.pixels)
    assert [name for name, source in SOURCES.items() if source.inverted] == ["omniglot"]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    share=st.floats(0.02, 0.5),
)
def test_each_class_is_held_out_in_proportion(sizes, share):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = max(1, round(share * len(labels)))
    mask = stratified(labels.tolist(), count)
    held = np.bincount(labels[mask], minlength=len(sizes))
    several = np.array(sizes) > 1
    assert (held[several] >= 1).all() and (held[several] < np.array(sizes)[several]).all()
    exact = np.array(sizes) * count / len(labels)
    assert (np.abs(held - exact)[several] <= 1).all()
    assert mask.any() or len(labels) == 1
    assert np.array_equal(mask, stratified(labels.tolist(), count))


def test_as_many_as_asked_for_are_held_out():
    labels = np.repeat(np.arange(964), 20)
    assert stratified(labels.tolist(), 1500).sum() == 1500
    assert stratified([0] * 90, 9).sum() == 9


def test_remarks_on_duplicates_classes_and_darkness():
    whole = counting()
    assert "200 are exact duplicates" in " ".join(remarks(whole))
    noise = torch.randint(256, (90, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    parts = [Split(x) for x in noise.to(torch.uint8).split(30)]
    sound = Images(*parts)
    assert list(remarks(sound)) == []
    leak = torch.cat([sound.test.pixels, sound.train.pixels[:2], sound.validation.pixels[:1]])
    (note,) = remarks(replace(sound, test=Split(leak)))
    assert "Of 33 test images, 3 " in note
    few = Split(parts[1].pixels, torch.zeros(30, dtype=torch.long))
    all_classes = Split(parts[0].pixels, torch.arange(30))
    (note,) = remarks(replace(sound, train=all_classes, validation=few))
    assert "Of 30 classes, 29 are not in the validation split" in note
    dark = Images(*(Split(part.pixels % 2) for part in parts))
    assert "levels=2" in " ".join(remarks(dark))
    assert not any("levels=" in note for note in remarks(replace(dark, levels=2)))
