"""Captions name what their sprite shows, and how probable each is, is known exactly."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vaebench.data import captions, sprites
from vaebench.data.captions import MEANINGS, PLACES, SHAPES, SIZES, TEMPLATES, expanded, law, read
from vaebench.data.images import Request
from vaebench.data.validation import check
from vaebench.errors import UserError

HERE = Request(Path("nowhere"))


@pytest.fixture(scope="module")
def found():
    return read(HERE, items=500)


def rules(meaning):
    shape, size, row, column = np.unravel_index(meaning, MEANINGS)
    return {
        "S": TEMPLATES,
        "SHAPE": SHAPES[shape],
        "SIZE": SIZES[size],
        "PLACE": PLACES[row][column],
    }


def derived(symbols, words, of):
    """The probability that symbols become these words, by trying all derivations from the left."""
    if not symbols:
        return float(not words)
    first, *rest = symbols
    if first not in of:
        return derived(rest, words[1:], of) if words[:1] == (first,) else 0.0
    options = [option.split() for option in of[first].split("|")]
    total = sum(float(weight) for *_, weight in options)
    return sum(
        float(weight) / total * derived([*parts, *rest], words, of) for *parts, weight in options
    )


def test_every_meaning_has_a_distribution_over_sentences():
    assert law().share.shape == (81, len(law().sentences))
    np.testing.assert_allclose(law().share.sum(1), 1, rtol=0, atol=1e-12)
    assert (law().share > 0).any(0).all() and law().weight.sum() == pytest.approx(1, abs=1e-12)
    assert len(set(law().sentences)) == len(law().sentences)


@pytest.mark.parametrize("meaning", [0, 17, 40, 80])
def test_probabilities_are_those_of_all_derivations_of_all_sentences(meaning):
    of = rules(meaning)
    brute = [derived(["S"], words, of) for words in law().sentences]
    np.testing.assert_allclose(law().share[meaning], brute, rtol=1e-12, atol=0)


def test_what_is_said_in_two_ways_counts_twice():
    assert expanded("S", {"S": "a B 1 | B 1", "B": "a 1 | 1"}) == {
        ("a", "a"): 0.25,
        ("a",): 0.5,
        (): 0.25,
    }


def test_sentences_are_drawn_as_often_as_they_are_probable(found):
    many = read(HERE, items=20_000).parts["caption"].train.tokens
    place = law().places(many)
    shares = np.bincount(place, minlength=len(law().sentences)) / len(place)
    expected = law().weight @ law().share
    error = np.sqrt(expected * (1 - expected) / len(place))
    assert (np.abs(shares - expected) < 5 * error + 1 / len(place)).all()


def test_the_joint_is_that_of_the_sprite_and_what_is_said_of_it(found):
    joint, picture, caption = (
        found.log_prob(found.test.stored, only=only) for only in (None, ["picture"], ["caption"])
    )
    assert picture.tolist() == [-math.log(737_280)] * 2000
    meaning = captions.meanings(found.test.factors.numpy())
    texts = found.parts["caption"].words(found.parts["caption"].test.tokens)
    for row in range(0, 2000, 199):
        given = derived(["S"], tuple(texts[row].split()), rules(meaning[row]))
        assert joint[row].item() == pytest.approx(math.log(given / 737_280), abs=1e-12)
        alone = sum(
            weight * derived(["S"], tuple(texts[row].split()), rules(each))
            for each, weight in enumerate(law().weight)
        )
        assert caption[row].item() == pytest.approx(math.log(alone), abs=1e-12)
    # Entropies, of which the note speaks, within four standard errors.
    note = found.notes[0].split()
    given, text = float(note[7]), float(note[12])
    for nats, values in ((given, picture - joint), (text, -caption)):
        assert abs(values.mean().item() - nats) < 4 * values.std().item() / 2000**0.5


def test_a_caption_of_another_sprite_or_of_no_meaning_has_no_probability(found):
    layout = found.layout
    parts = layout.stored(found.test.stored[:200])
    labels = found.test.labels[:200]
    other = parts | {"caption": parts["caption"].roll(1, 0)}
    wrong = labels != labels.roll(1)
    assert wrong.any() and found.log_prob(layout.joined(other))[wrong].isneginf().all()
    broken = parts | {"caption": parts["caption"].flip(0).clone()}
    broken["caption"][:, 0] = 0
    assert found.log_prob(layout.joined(broken), only=["caption"]).isneginf().all()
    assert (found.named["caption"](broken["caption"]) == -1).all()
    noise = parts | {"picture": parts["picture"] ^ torch.eye(32, dtype=torch.uint8)}
    assert found.log_prob(layout.joined(noise)).isneginf().all()


def test_the_data_set_is_sound_aligned_and_the_same_again(found):
    check("it", found)
    assert found.hash() == read(HERE, items=500).hash() != read(HERE, items=500, subset=1).hash()
    assert torch.equal(read(HERE, items=600).test.stored, found.test.stored)
    caption, source = found.parts["caption"], sprites.read(HERE, items=500)
    assert torch.equal(found.parts["picture"].train.pixels, source.train.pixels)
    assert torch.equal(found.train.factors, source.train.factors)
    assert found.factors == ("shape", "size", "angle", "x", "y")
    assert torch.equal(found.named["caption"](caption.train.tokens), found.train.labels)
    assert len(caption.train.lengths.unique()) > 3 and caption.shape == (12, 34)


def test_words_of_place_are_where_the_sprite_is(found):
    x, y = found.test.factors[:, 3:].T
    for text, across, down in zip(
        found.parts["caption"].words(found.parts["caption"].test.tokens), x, y, strict=True
    ):
        for word, good in {
            "left": across < 11,
            "right": across > 21 or "right angle" in text,
            "top": down < 11,
            "lower": down > 21,
            "middle": 11 <= across < 22 and 11 <= down < 22,
        }.items():
            assert word not in text.split() or good, text


@pytest.mark.parametrize("side", sprites.SIDES)
def test_factors_follow_from_the_picture(side):
    rows = np.random.default_rng(1).permutation(sprites.COUNT)[:600]
    factors = sprites.factors_of(rows)
    assert (sprites.seen(sprites.render(factors, side)) == factors).all()


def test_no_sprite_is_seen_where_none_can_be():
    picture = sprites.render(np.array([[0, 5, 0, 0, 0]]), 32)
    assert (sprites.seen(np.zeros_like(picture)) == -1).all()
    assert (sprites.seen(1 - picture) == -1).all()
    rows, columns = (np.flatnonzero(picture[0].any(axis)) for axis in (1, 0))
    assert rows[0] > 0 or columns[0] > 0
    moved = np.roll(picture, (-rows[0], -columns[0]), (1, 2))
    assert (sprites.seen(moved) == -1).all()
    with pytest.raises(ValueError, match="32 or 64"):
        sprites.seen(np.zeros((1, 16, 16), np.uint8))


def test_options_are_named_as_the_data_set_is():
    with pytest.raises(UserError, match=r"captions\[items\] must be"):
        read(HERE, items=0)
    with pytest.raises(UserError, match="32 or 64"):
        read(Request(Path("nowhere"), size=20))
