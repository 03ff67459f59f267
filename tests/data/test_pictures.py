"""A picture is read as a viewer shows it, whatever its depth, colours and format."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tests.data.picture_files import random_picture
from vaebench.data import pictures
from vaebench.data.pictures import Unreadable, read, stored
from vaebench.errors import UserError

#: A ramp of all 256 levels, the pixels of a 16×16 grey picture.
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
SIZE = 16, 16


def pixels(found):
    return found.pixels.numpy()


def grey(array):
    found = stored(Image.fromarray(array), SIZE)
    assert len(found.pixels) == 1
    return pixels(found)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.int32, np.float32])
@pytest.mark.parametrize("suffix", ["png", "tif", "jp2", "pgm", "pfm"])
def test_every_depth_shows_the_same_picture(dtype, suffix, tmp_path):
    white = {"u": 65535, "i": 2**31 - 1, "f": 1}[np.dtype(dtype).kind]
    white = 255 if dtype == np.uint8 else white
    array = np.rint(RAMP / 255 * white) if white > 1 else RAMP / 255
    path = tmp_path / f"ramp.{suffix}"
    if dtype == np.int32 and suffix != "tif":
        pytest.skip("no such file")
    try:
        more = {"irreversible": False} if suffix == "jp2" else {}
        Image.fromarray(array.astype(dtype)).save(path, **more)
    except (OSError, KeyError, ValueError):
        pytest.skip("Pillow cannot write that")
    found = read(path, SIZE)
    np.testing.assert_array_equal(pixels(found)[0], RAMP)
    assert ("scaled to 8 bits" in found.changes) == (white != 255)


def tiff(path, array, bits, sample_format, photometric=1):
    """An uncompressed TIFF as cameras and microscopes write it; Pillow writes fewer kinds."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    data = array.tobytes()
    tags = {256: array.shape[1], 257: array.shape[0], 258: bits, 259: 1, 262: photometric}
    tags |= {277: 1, 278: array.shape[0], 279: len(data), 339: sample_format, 273: 0}
    for tag, value in tags.items():
        info[tag] = value
    file = io.BytesIO()
    # Pillow itself adds the place behind the directory to the offset of the pixels.
    info.save(file)
    path.write_bytes(file.getvalue() + data)


@pytest.mark.parametrize(
    ("dtype", "sample_format"), [("<u4", 1), ("<i4", 2), ("<i2", 2), ("<u2", 1)]
)
def test_white_is_the_largest_number_of_a_tiffs_type(dtype, sample_format, tmp_path):
    white = np.iinfo(dtype).max
    array = np.rint(RAMP.astype(np.float64) / 255 * white).clip(0, white).astype(dtype)
    tiff(tmp_path / "ramp.tif", array, array.itemsize * 8, sample_format)
    np.testing.assert_array_equal(pixels(read(tmp_path / "ramp.tif", SIZE))[0], RAMP)


@pytest.mark.parametrize(
    "array",
    [
        RAMP.astype(np.int32),
        RAMP.astype(np.int32) * 257,
        RAMP.astype(np.float32),
        RAMP.astype(np.float32) / 255 - 0.5,
        np.full((16, 16), np.nan, np.float32),
        -RAMP.astype(np.int32),
    ],
)
def test_numbers_without_a_known_white_are_refused_by_name(array, tmp_path):
    path = tmp_path / "numbers.tif"
    Image.fromarray(array).save(path)
    with pytest.raises(UserError, match=r"numbers\.tif has .*save it with 8 or 16 bits"):
        read(path, SIZE)
    with pytest.raises(Unreadable):
        stored(Image.fromarray(array), SIZE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "RGBa", "PA"])
def test_what_is_transparent_shows_white(mode):
    disc = np.zeros((16, 16), np.uint8)
    disc[4:12, 4:12] = 255
    if mode in ("LA", "La"):
        picture = Image.fromarray(np.dstack([0 * disc, disc]), "LA")
    else:
        picture = Image.fromarray(np.dstack([0 * disc] * 3 + [disc]), "RGBA")
    if mode != "LA":
        picture = picture.convert(mode)
    found = stored(picture, SIZE)
    np.testing.assert_array_equal(pixels(found)[0], 255 - disc)
    assert any("white" in change for change in found.changes)
    assert len(found.pixels) == (3 if mode in ("RGBA", "RGBa") else 1)


@pytest.mark.parametrize(
    ("mode", "colour", "key"),
    [("L", 0, 0), ("RGB", (0, 0, 0), (0, 0, 0)), ("P", 0, 0), ("1", 0, 0), ("I;16", 0, 0)],
)
def test_a_colour_that_stands_for_nothing_shows_white(mode, colour, key, tmp_path):
    picture = Image.new(mode, SIZE, colour)
    if mode == "P":
        picture.putpalette([0, 0, 0, 200, 0, 0])
        picture.putpixel((3, 3), 1)
    picture.save(tmp_path / "key.png", transparency=key)
    found = pixels(read(tmp_path / "key.png", SIZE))
    assert found[0, 0, 0] == 255
    if mode == "P":
        assert found[:, 3, 3].tolist() == [200, 0, 0]


def test_an_opaque_alpha_changes_nothing():
    opaque = random_picture(0).convert("RGBA")
    found = stored(opaque, SIZE)
    np.testing.assert_array_equal(pixels(found), np.array(random_picture(0)).transpose(2, 0, 1))
    assert found.changes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_stand_as_viewers_show_them(orientation, suffix, tmp_path):
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :4] = 255
    methods = Image.Transpose
    # The inverse of what a viewer does for each value of the tag.
    inverse = {
        2: methods.FLIP_LEFT_RIGHT,
        3: methods.ROTATE_180,
        4: methods.FLIP_TOP_BOTTOM,
        5: methods.TRANSPOSE,
        6: methods.ROTATE_90,
        7: methods.TRANSVERSE,
        8: methods.ROTATE_270,
    }
    picture = Image.fromarray(upright)
    if orientation in inverse:
        picture = picture.transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"tagged.{suffix}"
    picture.save(path, exif=exif)
    found = read(path, SIZE, 1)
    assert np.abs(pixels(found)[0].astype(int) - upright).max() < 60
    assert (orientation > 1) == any("EXIF" in change for change in found.changes)


def test_damaged_exif_data_do_not_cost_a_picture(tmp_path):
    random_picture(0).save(tmp_path / "odd.png", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert read(tmp_path / "odd.png", SIZE).changes == ()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_other_colour_spaces_become_rgb(mode):
    red = Image.new("RGB", SIZE, (250, 10, 10))
    found = stored(red.convert(mode), SIZE)
    assert np.abs(pixels(found)[:, 0, 0].astype(int) - (250, 10, 10)).max() <= 3
    assert found.changes == (f"{mode} made RGB",)


def test_lab_is_converted_by_its_definition():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(*profiles, inMode="RGB", outMode="LAB")
    lab = transform.apply(Image.new("RGB", SIZE, (200, 100, 50)))
    assert lab.mode == "LAB"
    found = pixels(stored(lab, SIZE))[:, 0, 0].astype(int)
    assert np.abs(found - (200, 100, 50)).max() <= 4


def test_palettes_are_resolved_and_grey_where_all_their_colours_are():
    coloured = random_picture(0).quantize(16)
    assert len(stored(coloured, SIZE).pixels) == 3
    picture = Image.fromarray(RAMP).convert("P")
    np.testing.assert_array_equal(pixels(stored(picture, SIZE))[0], RAMP)
    bits = Image.fromarray(RAMP > 127)
    assert bits.mode == "1"
    np.testing.assert_array_equal(pixels(stored(bits, SIZE))[0], 255 * (RAMP > 127))


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_the_first_of_several_pages_is_used_and_said(suffix, tmp_path):
    frames = [Image.new("RGB", SIZE, (i * 80,) * 3) for i in (1, 2, 3)]
    path = tmp_path / f"pages.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    found = read(path, SIZE, 3)
    assert np.abs(pixels(found).astype(int) - 80).max() <= 2
    assert "first of several pages" in found.changes


def test_the_middle_is_cut_out_in_the_ratio_that_is_wanted():
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    found = stored(Image.fromarray(wide), (8, 8))
    assert (found.pixels == 200).all() and found.original == (24, 8)
    tall = stored(Image.fromarray(wide.T), (4, 2))
    assert tall.pixels.shape == (1, 2, 4)
    assert (tall.pixels == 200).all()
    assert stored(Image.new("L", (1, 9)), (8, 8)).pixels.shape == (1, 8, 8)


def test_pictures_of_both_kinds_are_stacked_in_colour():
    both = [stored(random_picture(0, (16, 16)), SIZE), stored(random_picture(1), SIZE)]
    found = pictures.stack(both, 2, SIZE).numpy()
    assert found.shape == (2, 3, 16, 16)
    np.testing.assert_array_equal(found[0], np.stack([np.array(random_picture(0, (16, 16)))] * 3))
    np.testing.assert_array_equal(found[1], pixels(both[1]))
    assert pictures.stack(both[:1], 1, SIZE).shape == (1, 1, 16, 16)


def test_a_picture_takes_the_channels_that_are_asked_for():
    found = stored(random_picture(0), SIZE, 1)
    np.testing.assert_array_equal(pixels(found)[0], np.array(random_picture(0).convert("L")))
    assert found.changes == ("colour made grey",)
    assert stored(random_picture(0, (16, 16)), SIZE, 3).pixels.shape == (3, 16, 16)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"


def test_postscript_starts_nothing_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.check_call", lambda *a, **k: pytest.fail("a program started"))
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: pytest.fail("a program started"))
    (tmp_path / "x.png").write_bytes(POSTSCRIPT)
    with pytest.raises(UserError, match=r"x\.png cannot be read as a picture"):
        read(tmp_path / "x.png", SIZE)
    assert not {".eps", ".ps", ".wmf", ".pdf"} & pictures.suffixes()
    assert {".png", ".jpg", ".jfif", ".ppm", ".jp2", ".tif"} <= pictures.suffixes()


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    random_picture(0).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("empty", "cut", "pipe", "folder", "nothing"):
        with pytest.raises(UserError, match=rf"{name}\.png"):
            read(tmp_path / f"{name}.png", SIZE)
