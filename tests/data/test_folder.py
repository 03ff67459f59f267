"""What of a folder becomes a data set, in which split, and what is said of the rest."""

import os
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.picture_files import flat, random_picture, write
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.registry.lookup import load


def folder(path, size=16):
    return load(f"folder:{path}", Request(path / "no data dir", size=size))


def sizes(images):
    return [len(split) for split in (images.train, images.validation, images.test)]


def said(images):
    return " ".join(images.notes)


def everything(images):
    splits = (images.train, images.validation, images.test)
    return torch.cat([split.pixels for split in splits])


@pytest.mark.parametrize(("shape", "channels"), [((20, 30, 3), 3), ((20, 30), 1)])
def test_a_folder_of_pictures(tmp_path, shape, channels):
    write(tmp_path / "a" / "b", 30, shape=shape)
    images = folder(tmp_path)
    assert images.shape == (channels, 16, 16)
    assert sizes(images) == [25, 2, 3]
    assert images.train.labels is None
    assert "30 pictures read" in said(images) and "passed over" not in said(images)


def levels(split):
    """Of pictures by `flat`, the folder that each came from."""
    return Counter(split.pixels[:, 0, 4, 4].tolist())


def test_every_class_is_in_each_split_in_random_order(tmp_path):
    for level in range(10):
        flat(tmp_path / "train" / f"c{level}", 20, level * 20)
        flat(tmp_path / "test" / f"c{level}", 6, level * 20)
    images = folder(tmp_path, 8)
    assert levels(images.train) == {level * 20: 18 for level in range(10)}
    assert levels(images.validation) == {level * 20: 2 for level in range(10)}
    assert levels(images.test) == {level * 20: 6 for level in range(10)}
    for split in (images.train, images.validation, images.test):
        assert split.labels is not None
        assert torch.equal(split.labels * 20, split.pixels[:, 0, 4, 4].long())
    # The first N are a random N: of 30 test images nearly all classes.
    assert len(images.test.labels[:30].unique()) >= 8
    assert "10 classes" in said(images)


def test_classes_without_splits_are_divided_in_proportion(tmp_path):
    for level, count in ((10, 60), (20, 30), (30, 4), (40, 2)):
        flat(tmp_path / f"c{level}", count, level)
    images = folder(tmp_path, 8)
    assert sum(sizes(images)) == 96
    assert set(levels(images.test)) == {10, 20, 30, 40}
    assert levels(images.train)[40] == 1
    assert 5 <= levels(images.test)[10] <= 7


def test_a_class_in_each_folder_alone_leaves_something_to_test(tmp_path):
    for level in range(25):
        flat(tmp_path / f"c{level}", 1, level)
    assert sizes(folder(tmp_path, 8)) == [21, 2, 2]


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "VALID", "Testing"), ("TRAIN", "dev", "test")]
)
def test_the_splits_of_a_folder_are_used_in_any_case(tmp_path, names):
    for name, count, level in zip(names, (30, 7, 9), (10, 20, 30), strict=True):
        flat(tmp_path / name, count, level)
    images = folder(tmp_path, 8)
    assert levels(images.train) == {10: 30}
    assert levels(images.validation) == {20: 7}
    assert levels(images.test) == {30: 9}


def test_missing_splits_are_taken_from_train(tmp_path):
    flat(tmp_path / "train", 40, 10)
    flat(tmp_path / "val", 8, 20)
    flat(tmp_path / "more", 5, 30)
    images = folder(tmp_path, 8)
    assert (levels(images.train), levels(images.test)) == ({10: 36}, {10: 4})
    assert levels(images.validation) == {20: 8}
    assert "5 × pictures outside of train/ and val/" in said(images)
    (tmp_path / "Train").mkdir()
    with pytest.raises(UserError, match="both name a split"):
        folder(tmp_path, 8)


def test_a_class_named_train_is_a_class(tmp_path):
    for name, level in (("train", 10), ("plane", 20), ("ship", 30)):
        flat(tmp_path / name, 20, level)
    assert set(levels(folder(tmp_path, 8).train)) == {10, 20, 30}


def test_links_are_followed_and_loops_end(tmp_path):
    write(tmp_path / "real", 30)
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "pics")
    (tmp_path / "real" / "x.png").symlink_to(tmp_path / "nowhere.png")
    images = folder(tmp_path / "pics")
    assert sum(sizes(images)) == 30
    assert "2 passed over" in said(images)
    assert "leads nowhere" in said(images) and "another link leads to" in said(images)


def test_what_is_hidden_or_no_picture_is_passed_over_and_counted(tmp_path):
    write(tmp_path, 24)
    for hidden in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        write(tmp_path / hidden, 3)
    (tmp_path / "._0001.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "labels.csv").write_text("a,b\n")
    (tmp_path / "LICENSE").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "scans.png").mkdir()
    write(tmp_path / "scans.png", 2, 100)
    for end, form in (("jfif", "JPEG"), ("ppm", "PPM"), ("JP2", "JPEG2000"), ("qoi", "QOI")):
        random_picture(200 + len(end)).save(tmp_path / f"more.{end}", form)
    images = folder(tmp_path)
    assert sum(sizes(images)) == 24 + 2 + 4
    text = said(images)
    assert "7 passed over" in text and "4 × hidden" in text
    for reason in (".csv", "no ending", "not a regular file"):
        assert f"1 × not an image format ({reason})" in text or f"1 × {reason}" in text


def test_a_test_picture_that_is_trained_on_is_told(tmp_path):
    write(tmp_path / "train" / "a", 30)
    write(tmp_path / "test" / "a", 10, 27)
    images = folder(tmp_path)
    assert "Of 10 test images, 3 are exact duplicates" in said(images)
    write(tmp_path / "test" / "a", 10, 100)
    assert sizes(folder(tmp_path))[2] == 20


@pytest.mark.parametrize("odd", [0, 15, 29])
def test_colour_is_decided_from_all_pictures(tmp_path, odd):
    write(tmp_path, 30)
    random_picture(7, (16, 16)).save(tmp_path / f"{odd:04d}.png")
    images = folder(tmp_path)
    assert images.shape == (3, 16, 16)
    assert "1 × grey made colour" in said(images)
    write(tmp_path, 30, shape=(16, 16))
    assert folder(tmp_path).shape == (1, 16, 16)
    random_picture(7).save(tmp_path / f"{odd:04d}.png")
    assert folder(tmp_path).shape == (3, 16, 16)


def test_conversions_are_counted(tmp_path):
    write(tmp_path, 30, shape=(16, 16))
    for i in range(3):
        random_picture(i, (16, 16, 4)).save(tmp_path / f"{i:04d}.png")
    for i in range(3, 5):
        picture = np.random.default_rng(i).integers(0, 65536, (16, 16)).astype(np.uint16)
        (tmp_path / f"{i:04d}.png").unlink()
        Image.fromarray(picture).save(tmp_path / f"{i:04d}.png")
    text = said(folder(tmp_path))
    assert "3 × transparency laid on white" in text and "2 × scaled to 8 bits" in text


def test_masks_of_zero_and_one_are_told(tmp_path):
    for i in range(25):
        array = np.random.default_rng(i).integers(0, 2, (16, 16)).astype(np.uint8)
        Image.fromarray(array).save(tmp_path / f"{i}.png")
    assert "brightest pixel of all is 1 where white is 255" in said(folder(tmp_path))


def test_an_unreadable_picture_is_named(tmp_path):
    write(tmp_path, 25)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.png"):
        folder(tmp_path)


def test_folders_that_cannot_work(tmp_path):
    with pytest.raises(UserError, match="--image-size"):
        load(f"folder:{tmp_path}", Request(tmp_path))
    (tmp_path / "list.txt").touch()
    with pytest.raises(UserError, match=r"at least 20 are needed; 1 passed over: 1 × .*\(\.txt\)"):
        folder(tmp_path)
    with pytest.raises(UserError, match=r"is not a folder; .* a comma in PATH as \\,"):
        folder(tmp_path / "none")
    for bare in ("folder", "folder:"):
        with pytest.raises(UserError, match="folder:PATH"):
            load(bare, Request(tmp_path, size=16))
