"""Any mode in any format in any shape of folder: the pictures of a viewer, or a sentence."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vaebench.data.images import Request
from vaebench.data.pictures import FORMATS, suffixes
from vaebench.errors import UserError
from vaebench.registry.lookup import load

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F")
LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".webp", ".avif", ".avifs")
SIDE = 8


def picture(mode, seed):
    """A picture of few grey levels in a mode, and the levels that a viewer shows."""
    shown = np.random.default_rng(seed).integers(0, 4, (SIDE, SIDE)).astype(np.uint8) * 85
    if mode == "1":
        shown = np.where(shown > 100, 255, 0).astype(np.uint8)
    grey = Image.fromarray(shown)
    if mode == "I;16":
        return Image.fromarray(shown.astype(np.uint16) * 257), shown
    if mode == "I":
        return Image.fromarray((shown / 255 * (2**31 - 1)).astype(np.int32)), shown
    if mode == "F":
        return Image.fromarray((shown / 255).astype(np.float32)), shown
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(*profiles, inMode="RGB", outMode="LAB")
        return transform.apply(grey.convert("RGB")), shown
    return grey.convert("RGBA").convert(mode) if mode == "PA" else grey.convert(mode), shown


def written(path, mode, seed):
    """What a viewer shows of the picture that is written there, None where Pillow cannot."""
    made, shown = picture(mode, seed)
    try:
        made.save(path)
    except (OSError, ValueError, KeyError, SystemError):
        path.unlink(missing_ok=True)
        return None
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_in_every_format(mode, tmp_path):
    from vaebench.data.pictures import read

    tried = 0
    for end in sorted(suffixes()):
        path = tmp_path / f"x{end}"
        shown = written(path, mode, 0)
        if shown is None:
            continue
        with Image.open(path) as file:
            assert file.format in FORMATS
            # What Pillow cuts off as it writes more than 8 bits into less is not ours to know.
            if mode in ("I", "F", "I;16") and not file.mode.startswith(("I", "F")):
                continue
            # Nor which colours they are where a format does not say it.
            if (mode, file.format) in (("I", "PPM"), ("YCbCr", "JPEG2000")):
                continue
        found = read(path, (SIDE, SIDE), 1).pixels[0].numpy().astype(int)
        slack = 40 if end in LOSSY else 3 if mode in ("LAB", "YCbCr") else 1
        assert np.abs(found - shown).mean() <= slack, (mode, end)
        tried += 1
    assert tried >= (1 if mode in ("LAB", "PA", "I", "F") else 3)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "train/a", "Train/b", "test/a", "val/b", ".x", "a/.y"]),
            st.sampled_from(MODES),
            st.sampled_from([".png", ".tif", ".gif", ".bmp", ".ppm", ".jp2", ".csv", ""]),
        ),
        min_size=18,
        max_size=50,
    )
)
def test_any_folder_is_read_whole_or_refused(tmp_path_factory, files):
    root = tmp_path_factory.mktemp("any")
    visible = {}
    for seed, (folder, mode, end) in enumerate(files):
        path = root / folder / f"{seed:03d}{end}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if end not in (".csv", ""):
            shown = written(path, mode, seed)
            if shown is not None and "." not in folder:
                visible[path] = shown
        else:
            path.write_text("no picture")
    (root / "loop").symlink_to(root)
    try:
        images = load(f"folder:{root}", Request(root, size=SIDE))
    except UserError as error:
        text = str(error)
        assert len(visible) < 20 or "both name a split" in text or "save it" in text, text
        return
    splits = (images.train, images.validation, images.test)
    total = sum(map(len, splits))
    outside = sum(
        int(note.split(" × pictures outside")[0].rsplit(" ", 1)[-1])
        for note in images.notes
        if " × pictures outside" in note
    )
    assert total + outside == len(visible)
    assert all(len(split) for split in splits) and len(images.test) >= 2
    if images.train.labels is not None and images.validation.labels is not None:
        counts = np.bincount(images.train.labels.numpy())
        assert counts.sum() == len(images.train)
    assert images.hash() == load(f"folder:{root}", Request(root, size=SIDE)).hash()
