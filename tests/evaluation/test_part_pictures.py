"""Parts stand side by side in pictures; items with words have both, in the same order."""

import io
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.cells import cell
from tests.evaluation.test_parts import Whole, subject
from vaebench.data import digits
from vaebench.data.images import Request
from vaebench.data.views import viewed
from vaebench.evaluation.metrics.subject import Subject
from vaebench.evaluation.part_pictures import beside, part_pictures
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.report.page.embed import strip
from vaebench.training.build import build


def size(content):
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def test_parts_of_other_sizes_and_colours_stand_side_by_side():
    parts = {"grey": torch.zeros(3, 1, 2, 4), "colour": torch.zeros(3, 3, 4, 2)}
    found = beside(parts, ["grey", "colour"])
    assert found.shape == (3, 2, 3, 4, 4)
    assert (found[:, 0, :, 2:] == 1).all() and (found[:, 0, :, :2] == 0).all()
    assert (found[:, 1, :, :, 2:] == 1).all() and (found[:, 1, :, :, :2] == 0).all()


def test_views_are_drawn_copied_and_generated_from_one_alone():
    data = viewed("it", digits.read(Request(None)), 2)
    made = {name: (content, words) for name, content, words in part_pictures(subject(data))}
    assert [*made] == ["samples.png", "generated.png", "reconstructions.png"]
    assert made["generated.png"][1] == ["test items", "given view1", "given view2"]
    # Two blocks of three lines of 17 columns, less the gap behind the last item.
    assert size(made["generated.png"][0]) == (14 * 34, 6 * 34)
    whole = [name for name, *_ in part_pictures(subject(data, posterior=Whole))]
    assert whole == ["samples.png", "reconstructions.png"]


def of(dataset, plugin):
    one = replace(cell(plugin=plugin, dataset=dataset, latent=4), backbone="mlp", width=16)
    data = load(dataset, Request(None))
    made = build(replace(one, data=data.hash()), catalogue().variant(plugin), data)
    return Subject(made.model.eval(), made.variant, data, 0, "pixels", "sprites")


def test_items_with_words_have_a_line_of_pictures_for_each(tmp_path):
    found = of("captions[items=20]", "poe")
    made = {name: content for name, content, _ in part_pictures(found)}
    assert [*made] == ["items-drawn.png", "items-items.png", "texts.json"]
    said = json.loads(made["texts.json"])
    assert [len(said["drawn"]), len(said["items"])] == [12, 8]
    first = said["items"][0]
    caption = found.images.parts["caption"]
    assert first[0] == caption.words(caption.test.tokens[:1])[0]
    assert [line.partition(":")[0] for line in first[1:]] == [
        *("whole item", "given picture", "given caption"),
    ]
    folder = tmp_path / "cells" / "one"
    folder.mkdir(parents=True)
    (folder / "items-items.png").write_bytes(made["items-items.png"])
    tiles = strip(tmp_path, "one", "items-items.png", 32, 100_000)
    assert [(tile.width, tile.height) for tile in tiles] == [(34, 34)] * 32
    assert not strip(tmp_path, "one", "items-items.png", 31, 100_000)
    assert not strip(tmp_path, "one", "items-drawn.png", 12, 100_000)


def test_numbers_have_no_pictures():
    assert [*part_pictures(of("linear[kind=parts,items=20]", "poe"))] == [("texts.json", b"{}", [])]


@pytest.mark.parametrize("plugin", ["mmvm"])
def test_without_a_prior_nothing_is_drawn(plugin):
    made = [name for name, *_ in part_pictures(of("captions[items=20]", plugin))]
    assert made == ["items-items.png", "texts.json"]
