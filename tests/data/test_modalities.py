"""Items of several parts: aligned data sets side by side, each part as it was."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaebench.compute.random import generator
from vaebench.data.batches import observed
from vaebench.data.heldout import without
from vaebench.data.images import Images, Request, Split
from vaebench.data.modalities import aligned
from vaebench.data.observation import met, observe
from vaebench.data.text import Sentences, Text
from vaebench.data.validation import check
from vaebench.errors import UserError
from vaebench.models.likelihoods import LIKELIHOODS
from vaebench.models.modalities import Joint
from vaebench.registry.lookup import load

N = 40


def pieces(count=N):
    torch.manual_seed(0)
    labels = torch.arange(count) % 4
    grey = Split(torch.randint(17, (count, 1, 4, 4), dtype=torch.uint8), labels)
    real = Split(torch.randn(count, 1, 1, 5), labels)
    tokens = torch.randint(300, (count, 6), dtype=torch.int32)
    tokens[::2, 4:] = -1
    words = Sentences(tokens, labels)
    return {
        "grey": Images(grey, grey, grey, levels=17),
        "real": Images(real, real, real, levels=2),
        "text": Text(words, words, words, vocabulary=tuple(map(str, range(300)))),
    }


def test_parts_come_back_as_they_were():
    parts = pieces()
    both = aligned(parts)
    assert both.shape == (16 + 5 + 6,) and both.noun == "item" and both.made_of == "pictures"
    for name, part in both.parts.items():
        assert torch.equal(part.train.stored, parts[name].train.stored)
        assert part.train.stored.dtype == parts[name].train.stored.dtype
        assert torch.equal(part.test.labels, parts[name].test.labels)
        assert part.shape == parts[name].shape
    check("it", both)


def test_items_of_one_kind_take_no_more_memory():
    parts = pieces()
    assert aligned({"a": parts["grey"], "b": parts["grey"]}).train.stored.dtype == torch.uint8
    assert aligned(parts).train.stored.dtype == torch.float32


def test_each_part_is_observed_by_its_own_likelihood():
    both = aligned(pieces())
    chosen = {"grey": "bernoulli", "real": "gaussian", "text": "tokens"}
    kinds = {n: LIKELIHOODS[name](both.like[n].levels) for n, name in chosen.items()}
    joint = Joint(both.layout, kinds)
    x = both.layout.split(met(joint, both.train.stored, generator(0)))
    binary = observe("binary", both.parts["grey"].train.pixels, 17, generator(0))
    assert torch.equal(x["grey"], binary) and x["text"].dtype == torch.int64
    assert torch.equal(x["real"], both.parts["real"].train.pixels)
    assert torch.equal(x["text"], both.parts["text"].train.tokens.long())
    assert observed(both.test, joint, "test").dtype == torch.float32


def test_the_digest_is_of_numbers_and_words():
    parts = pieces()
    found = {aligned(parts).hash(), aligned(dict(reversed(parts.items()))).hash()}
    other = replace(parts["text"], vocabulary=tuple(f"w{i}" for i in range(300)))
    found.add(aligned(parts | {"text": other}).hash())
    changed = replace(parts["real"], test=Split(parts["real"].test.pixels + 1, None))
    found.add(aligned(parts | {"real": changed}).hash())
    assert len(found) == 4


def test_a_class_can_be_left_out():
    rest = without("it", aligned(pieces()), "2")
    assert len(rest.test) == N - N // 4 and len(rest.outside) == 3 * N // 4
    assert set(rest.parts["text"].outside.labels.tolist()) == {2}


@pytest.mark.parametrize("fault", ["fewer", "classes", "given", "none"])
def test_what_does_not_belong_together_is_refused(fault):
    parts = pieces()
    if fault == "fewer":
        parts["grey"] = pieces(N - 1)["grey"]
    if fault == "classes":
        flipped = replace(parts["grey"].train, labels=parts["grey"].train.labels.flip(0))
        parts["grey"] = replace(parts["grey"], train=flipped)
    if fault == "given":
        parts["grey"] = replace(parts["grey"], given="label")
    with pytest.raises(UserError):
        aligned({} if fault == "none" else parts)


@pytest.mark.parametrize("options", ["given=left", "sets=2"])
def test_neither_conditions_nor_sets_of_them(options):
    with pytest.raises(UserError):
        load(f"linear[kind=parts,{options}]", Request(Path("nowhere")))
