"""Cells of items of several parts: built, trained, and plain ones where there is one part."""

from dataclasses import replace
from pathlib import Path

import torch

from tests.cells import cell, digits, renamed
from vaebench.data.images import Images, Request, Split
from vaebench.data.modalities import aligned
from vaebench.data.text import Sentences, Text
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build
from vaebench.training.fit import fit
from vaebench.training.parts import choices

LINEAR = "linear[items=40,kind=parts]"


def trained(images, plugin="gaussian", **more):
    asked = cell(plugin=plugin, epochs=1, **more)
    made = build(asked, catalogue().variant(plugin), images)
    fit(made, lambda row, validated: None)
    return made


def plain(model):
    names = {"encoder.parts.one.": "encoder.", "observation.decoder.parts.one.": "observation."}
    return renamed(model.state_dict(), names)


def test_training_on_items_of_one_part_is_training_on_the_part_to_the_bit():
    one = plain(trained(aligned({"one": digits()})).model)
    other = trained(digits()).model.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def mixed():
    torch.manual_seed(0)
    grey = Split(torch.randint(17, (256, 1, 4, 4), dtype=torch.uint8))
    real = Split(torch.randn(256, 1, 1, 3))
    words = Sentences(torch.randint(9, (256, 5), dtype=torch.int32))
    return aligned(
        {
            "grey": Images(grey, grey, grey, levels=17),
            "text": Text(words, words, words, vocabulary=tuple("abcdefghi")),
            "real": Images(real, real, real, levels=2),
        }
    )


def test_parts_of_every_kind_learn_together():
    images = mixed()
    chosen = choices(images, "mlp", 16, "bernoulli")
    assert {n: (c.backbone, c.width, c.likelihood) for n, c in chosen.items()} == {
        "grey": ("mlp", 16, "bernoulli"),
        "text": ("lstm", 64, "tokens"),
        "real": ("mlp", 16, "gaussian"),
    }
    made = trained(images, batch_size=64)
    before = build(made.cell, made.variant, images).model.state_dict()
    moved = {
        name for name, value in made.model.state_dict().items() if (value != before[name]).any()
    }
    for name in images.like:
        assert any(f".parts.{name}." in each and each.startswith("encoder") for each in moved)
        assert any(f".parts.{name}." in each and each.startswith("observation") for each in moved)
    assert any(each.endswith("real.likelihood.log_scale") for each in moved)


def test_every_variant_learns_from_items_of_several_parts():
    data = load(LINEAR, Request(Path("nowhere")))
    asked = cell(
        dataset=LINEAR, backbone="linear", likelihood="gaussian", binarise="none", latent=4
    )
    needy = {"labels", "pictures", "elements"}
    for name in catalogue().names():
        if needy & set(catalogue().facts("variants", name)["needs"]):
            continue
        variant = catalogue().variant(name)
        made = build(replace(asked, plugin=name), variant, data)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            drawn = made.model.draw(data.train.stored[:4], made.variant.samples, paired=True)
            value = made.variant.objective(drawn)
            (-value.mean()).backward()
        assert value.shape == (4,) and value.isfinite().all(), name
        assert drawn.log_px.shape[1:] == (4,)
        assert all(p.grad is not None for p in made.model.observation.decoder.parameters()), name
