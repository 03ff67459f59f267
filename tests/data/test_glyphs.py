"""Glyphs are read from their strokes, drawn where these are, and test glyphs are never learned."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vaebench.data import glyphs
from vaebench.data.glyphs import drawn, read
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.registry.lookup import load


def line(text):
    return f"12345{len(text) // 2:3d}{text}\n"


def letter(number):
    """A glyph of two strokes, one of its own."""
    return line(f"JZ{chr(ord('F') + number)}FRZ RFRZR")


@pytest.fixture
def fonts(tmp_path, monkeypatch):
    monkeypatch.setattr(glyphs, "DEBIAN", tmp_path / "debian")
    folder = tmp_path / "hershey"
    folder.mkdir()
    (folder / "a.jhf").write_text(line("JZ") + "".join(map(letter, range(8))))
    (folder / "b.jhf").write_text("\n" + "".join(map(letter, range(6, 12))))
    return tmp_path


def test_each_glyph_is_a_class_once_and_test_classes_are_others(fonts):
    found = load("glyphs[drawings=3]", Request(fonts))
    assert len(glyphs.glyphs(fonts / "hershey")) == 12
    learned, told = set(found.train.labels.tolist()), set(found.test.labels.tolist())
    assert not learned & told and len(learned) == 10 and len(told) == 2
    assert set(found.validation.labels.tolist()) == learned
    assert [len(s) for s in (found.train, found.validation, found.test)] == [30, 50, 6]
    assert found.shape == (1, 28, 28) and len(found.train.pixels.unique(dim=0)) == 30


def test_drawings_are_the_same_again_and_others_with_another_subset(fonts):
    one, again, other = (read(Request(fonts), drawings=2, subset=s) for s in (0, 0, 1))
    assert one.hash() == again.hash() != other.hash()
    more = read(Request(fonts, size=40), drawings=2)
    assert more.shape == (1, 40, 40)


def test_a_stroke_is_inked_where_it_is(monkeypatch):
    for name in ("_TURN", "_SHEAR", "_SCALE", "_SHIFT", "_SHAKE"):
        monkeypatch.setattr(glyphs, name, 0.0)
    monkeypatch.setattr(glyphs, "_THIN", 2.0)
    monkeypatch.setattr(glyphs, "_THICK", 2.0)
    picture = drawn((((0, -5), (0, 5)),), np.random.default_rng(0), 1, 28)[0].float() / 255
    # Two pixels wide around the middle, 0.7 of the side high with round ends.
    rows = picture[8:20]
    assert torch.equal(rows.nonzero()[:, 1].unique(), torch.tensor([13, 14]))
    assert (rows[:, 13:15] > 0.98).all() and picture[:3].sum() == picture[-3:].sum() == 0
    assert picture.sum().item() == pytest.approx(2 * 0.7 * 28 + 3.14, abs=1.5)


def test_strokes_beyond_the_picture_are_cut_and_do_not_come_back(monkeypatch):
    monkeypatch.setattr(glyphs, "_ROOM", 3.0)
    picture = drawn((((-5, 0), (5, 0)),), np.random.default_rng(0), 4, 28)
    assert (picture.float().sum((1, 2)) > 0).all() and not picture[:, :3].any()


@pytest.mark.parametrize(
    "content", ["12345 x5JZ\n", "12345 12JZFF\n", "12345  0\n", "12345-12JZ\n"]
)
def test_a_damaged_file_is_named(fonts, content):
    path = fonts / "hershey" / "c.jhf"
    path.write_text(content)
    with pytest.raises(UserError, match=r"c\.jhf is damaged.*hershey-fonts-data"):
        read(Request(fonts))


def test_a_glyph_may_go_on_in_the_next_line(fonts):
    whole = letter(0)
    assert list(glyphs._of_file(_written(fonts, whole))) == list(
        glyphs._of_file(_written(fonts, whole[:14] + "\n" + whole[14:]))
    )


def _written(folder, text):
    path = folder / "one.jhf"
    path.write_text(text)
    return path


def test_missing_files_name_both_remedies(tmp_path, monkeypatch):
    monkeypatch.setattr(glyphs, "DEBIAN", tmp_path)
    with pytest.raises(UserError, match=r"hershey-fonts-data, or name the folder .* --data-dir"):
        read(Request(tmp_path))


def test_sizes_and_numbers_are_checked_first(tmp_path):
    for request, options in (
        (Request(tmp_path, size=8), {}),
        (Request(tmp_path), {"drawings": 0}),
        (Request(tmp_path), {"subset": -1}),
    ):
        with pytest.raises(UserError, match=r"must be"):
            read(request, **options)


@pytest.mark.slow
def test_hersheys_fonts_are_as_documented():
    places = (Path(os.environ.get("VAEBENCH_DATA", "data")) / "hershey", glyphs.DEBIAN)
    folder = next((place for place in places if any(place.glob("*.jhf"))), None)
    if folder is None:
        pytest.skip("Hershey's fonts are not here")
    assert len(glyphs.glyphs(folder)) == 1240
