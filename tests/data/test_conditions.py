"""Conditions and labels that training may see are spelled with the data set, and are its own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cells import digits
from tests.data.picture_files import write
from vaebench.config.names import spelled
from vaebench.data.conditions import conditioned, shown, whole
from vaebench.data.dataset import permuted
from vaebench.data.images import Images, Request, Source, Split
from vaebench.data.validation import check
from vaebench.errors import UserError
from vaebench.registry import lookup
from vaebench.registry.lookup import load, located


def read(name, size=None):
    return load(name, Request(Path("nowhere"), size=size))


def splits(images):
    return images.train, images.validation, images.test


def of_classes(counts, classes=(3, 5)):
    """Pictures of noise in the given number for train, validation and test, classes in turn."""
    parts = []
    for n in counts:
        pixels = torch.randint(256, (n, 1, 2, 3), dtype=torch.uint8)
        parts.append(Split(pixels, torch.tensor(classes).repeat(n)[:n]))
    return Images(*parts)


def test_a_given_label_is_a_column_for_each_class():
    bare, found = digits(), read("digits[given=label]")
    assert (found.given, found.classes, found.labelled) == ("label", tuple(range(10)), None)
    for before, after in zip(splits(bare), splits(found), strict=True):
        assert torch.equal(after.pixels, before.pixels)
        assert after.given.dtype == torch.float32 and (after.given.sum(1) == 1).all()
        assert torch.equal(after.given.argmax(1), before.labels)


def test_columns_are_in_the_order_of_training_classes():
    found = conditioned("It", of_classes((8, 4, 4), (7, 3)), {"given": "label"})
    assert found.classes == (3, 7)
    assert found.test.given.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("width", [2, 5, 8])
def test_halves_make_the_whole(width):
    bare = digits()
    bare = replace(
        bare,
        **{
            name: Split(getattr(bare, name).pixels[..., :width], getattr(bare, name).labels)
            for name in ("train", "validation", "test")
        },
    )
    found = conditioned("It", bare, {"given": "left"})
    assert found.given == "left" and found.shape == (1, 8, width - width // 2)
    for before, after in zip(splits(bare), splits(found), strict=True):
        assert torch.equal(whole(after.pixels, after.given), before.pixels)
        assert after.pixels.is_contiguous() and after.given.is_contiguous()


def test_whole_completes_draws_and_leaves_others():
    given, draws = torch.rand(4, 3, 5, 2), torch.rand(6, 4, 3, 5, 3)
    made = whole(draws, given)
    assert made.shape == (6, 4, 3, 5, 5) and torch.equal(made[2, 1, :, :, :2], given[1])
    assert torch.equal(made[..., 2:], draws)
    for other in (None, torch.rand(4, 10)):
        assert whole(draws, other) is draws
    with pytest.raises(ValueError, match="uint8"):
        whole(draws, given.byte())


def test_a_constant_condition_says_nothing():
    one = of_classes((8, 4, 4), (3,))
    found = conditioned("It", one, {"given": "label"})
    assert all(part.given.shape == (len(part), 0) for part in splits(found))
    assert found.train.given.dtype == torch.float32
    same = replace(one, train=replace(one.train, pixels=one.train.pixels[:1].repeat(8, 1, 1, 1)))
    found = conditioned("It", same, {"given": "left"})
    assert all(part.given.shape == (len(part), 0) for part in splits(found))
    assert found.shape == (1, 2, 2)
    check("It", found)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_shown_labels_are_balanced(sizes, share, seed):
    classes = torch.arange(len(sizes)) * 3 + 1
    labels = classes.repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    count = round(share * len(labels))
    found = shown(labels, count, seed)
    seen = found >= 0
    assert found.dtype == torch.int64 and int(seen.sum()) == count and (found[~seen] == -1).all()
    assert torch.equal(classes[found[seen]], labels[seen])
    numbers = found[seen].bincount(minlength=len(sizes))
    enough = numbers < torch.tensor(sizes)
    assert not enough.any() or numbers[enough].max() - numbers[enough].min() <= 1
    assert not enough.any() or numbers.max() <= numbers[enough].min() + 1
    assert torch.equal(found, shown(labels, count, seed))


def test_every_seed_sees_other_labels_of_the_same_number():
    labels = digits().train.labels
    first, again, other = (shown(labels, 100, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    for found in (first, other):
        assert found[found >= 0].bincount().tolist() == [10] * 10
    extra = {
        int(shown(labels, 101, seed).clamp_min(0).bincount()[1:].argmax()) for seed in range(9)
    }
    assert len(extra) > 1


def test_the_number_of_labels_is_the_data_sets():
    bare, found, most = digits(), read("digits[labels=100]"), read("digits[labels=all]")
    assert (found.labelled, most.labelled, bare.labelled) == (100, len(bare.train), None)
    assert found.classes == tuple(range(10)) and found.train.given is None
    assert torch.equal(found.train.pixels, bare.train.pixels)
    assert read("digits[labels=20,without=3]").classes == (0, 1, 2, 4, 5, 6, 7, 8, 9)


def test_hashes_are_of_what_is_used():
    names = ["digits", *(f"digits[{x}]" for x in ("given=label", "given=left", "labels=100"))]
    names += ["digits[labels=50]", "digits[given=left,labels=50]", "digits[given=left,without=1]"]
    assert len({read(name).hash() for name in names}) == len(names)
    bare, found = digits(), read("digits[labels=50]")
    relabelled = replace(bare.train, labels=bare.train.labels.flip(0))
    assert replace(bare, train=relabelled).hash() == bare.hash()
    assert replace(found, train=relabelled).hash() != found.hash()


def test_conditions_stay_with_their_images():
    found = read("digits[given=label]").train
    moved = permuted(found)
    assert torch.equal(moved.given.argmax(1), moved.labels)
    assert not torch.equal(moved.labels, found.labels)
    part = read("digits[given=left,without=9]")
    assert part.outside.given.shape[1:] == (1, 8, 4) and part.outside.pixels.shape[1:] == (1, 8, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("given=labels", "Did you mean 'label'"),
        ("labels=many", "write a number, or labels=all"),
        ("labels=-1", "write a number"),
        ("labels=9", "from 10 to 1197, or all, not 9"),
        ("labels=1198", "from 10 to 1197"),
        ("given=label,labels=10", "leave out one of the two"),
        ("given=label,without=9", "leave out one of the two"),
    ],
)
def test_what_cannot_be_had_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        read(f"digits[{options}]")


@pytest.mark.parametrize("options", [{"given": "label"}, {"labels": "6"}])
def test_classes_that_training_lacks_are_refused(options):
    whole = of_classes((8, 4, 4))
    other = replace(whole, test=replace(whole.test, labels=whole.test.labels + 2))
    with pytest.raises(UserError, match=r"in its test split that training lacks \(7\)"):
        conditioned("It", other, options)
    bare = replace(whole, validation=Split(whole.validation.pixels))
    with pytest.raises(UserError, match="has no labels"):
        conditioned("It", bare, options)


def test_pictures_one_pixel_wide_have_no_half():
    narrow = Images(*(Split(torch.zeros(4, 1, 3, 1, dtype=torch.uint8)) for _ in range(3)))
    with pytest.raises(UserError, match="one pixel wide"):
        conditioned("It", narrow, {"given": "left"})


@pytest.fixture
def installed(monkeypatch):
    """Load a reader's data set as if it was installed under the name digits."""

    def loaded(name, reader):
        monkeypatch.setattr(lookup, "source", lambda _: Source("", "", reader))
        return read(name)

    return loaded


def test_a_strangers_data_set_has_conditions(installed):
    found = installed("digits[given=label]", lambda request: of_classes((40, 8, 8)))
    assert found.classes == (3, 5)
    assert torch.equal(found.train.given[:, 1] == 1, found.train.labels == 5)
    found = installed("digits[given=left]", lambda request: of_classes((40, 8, 8)))
    assert found.shape == (1, 2, 2) and found.train.given.shape == (40, 1, 2, 1)


def own(change=lambda given: given, word="weight"):
    """A data set that brings a condition: the mean of its pictures."""
    bare = of_classes((40, 8, 8))
    train, *others = (
        replace(part, given=part.pixels.float().mean((1, 2, 3))[:, None]) for part in splits(bare)
    )
    validation, test = (replace(part, given=change(part.given)) for part in others)
    return Images(train, validation, test, given=word)


def test_a_strangers_own_condition(installed):
    found = installed("digits", lambda request: own())
    assert torch.equal(found.test.given[:, 0], found.test.pixels.float().mean((1, 2, 3)))
    assert found.hash() != replace(found, given="").hash()
    with pytest.raises(UserError, match="a condition of its own"):
        installed("digits[given=left]", lambda request: own())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: own(word=""), "a condition where"),
        (lambda: own(lambda given: None), "no condition where"),
        (lambda: own(lambda given: given.double()), r"float64 \(8, 1\) as condition"),
        (lambda: own(lambda given: given[:3]), r"float32 \(3, 1\) as condition"),
        (lambda: own(lambda given: given / 0), "finite float32"),
        (lambda: own(lambda given: given.repeat(1, 2)), "another kind of condition"),
        (lambda: own(lambda given: torch.zeros(8, 3, 2, 1, dtype=torch.uint8)), "uint8"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(installed, wrong, message):
    with pytest.raises(UserError, match=message):
        installed("digits", lambda request: wrong())


def test_class_folders_have_all_of_it(tmp_path):
    for first, home in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        write(tmp_path / "pets" / home, 9, first=10 * first)
    place = f"folder:{tmp_path}/pets"
    found = read(f"{place}[given=label]", 8)
    assert found.classes == (0, 1) and torch.equal(found.test.given.argmax(1), found.test.labels)
    assert read(f"{place}[labels=4]", 8).labelled == 4
    assert read(f"{place}[given=left,labels=4]", 8).shape[-1] == 4
    assert located(f"{place}[labels=4,given=left]") == f"{place}[given=left,labels=4]"
    (tmp_path / "pets").rename(tmp_path / "pets[given=label]")
    assert read(f"{place}[given=label]", 8).given == ""
    assert read(f"{place}[given=label][given=label]", 8).given == "label"


def test_options_of_folders_are_told_from_their_names(tmp_path):
    assert spelled("folder:/a[b]") == ("folder:/a[b]", {})
    assert spelled("folder:/a[b][given=left]") == ("folder:/a[b]", {"given": "left"})
    assert spelled("folder:/a[b=c]/d") == ("folder:/a[b=c]/d", {})
    assert spelled("mine:bars[lit=0.3]") == ("mine:bars", {"lit": "0.3"})
    (tmp_path / "a[b=c]").mkdir()
    assert spelled(f"folder:{tmp_path}/a[b=c]") == (f"folder:{tmp_path}/a[b=c]", {})
