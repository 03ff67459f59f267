"""Words become tokens, and training alone says which words there are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaebench.data.text import END, PAD, UNKNOWN, tokens
from vaebench.data.vocabulary import text, vocabulary_of
from vaebench.errors import UserError

WORDS = st.lists(st.lists(st.sampled_from(["a", "b", "c", END, UNKNOWN, "é"])), min_size=1)


def test_the_most_frequent_words_of_training_are_known():
    learned = [["b", "a", "c", "b"], ["c", "a", "b", "once"]]
    assert vocabulary_of(learned, 9) == (END, UNKNOWN, "b", "a", "c")
    assert vocabulary_of(learned, 2) == (END, UNKNOWN, "b", "a")
    found = text((learned, [["new", "a"]], [["once", "b", "new"]]), 9, 5)
    assert found.vocabulary == (END, UNKNOWN, "b", "a", "c")
    assert found.words(found.test.tokens) == ["<unk> b <unk>"]
    assert found.test.tokens.tolist() == [[1, 2, 1, 0, PAD]]
    assert found.train.tokens[1].tolist() == [4, 3, 2, 1, 0]


@given(sentences=WORDS, length=st.integers(1, 6))
def test_words_are_those_of_the_tokens_up_to_the_cut(sentences, length):
    known = (END, UNKNOWN, "a", "é")
    found = tokens(sentences, known, length)
    assert found.dtype == torch.int32 and found.shape == (len(sentences), length)
    for row, words in zip(found.tolist(), sentences, strict=True):
        whole = [known.index(word) if word in ("a", "é") else 1 for word in words]
        assert row == ([*whole, 0] + [PAD] * length)[:length]


def test_what_a_likelihood_depends_on_is_said():
    parts = ([list("aabb")] * 3, [["a"]], [["a", "z"], list("bbbbbb")])
    found = text(parts, 9, 5, notes=("First.",))
    assert found.notes[0] == "First."
    said = " ".join(found.notes)
    assert "6 sentences, of which 1 are cut at 5 tokens" in said
    assert "4 entries" in said and "8 tokens, 12.50% of them unknown words" in said


def test_words_are_part_of_the_hash():
    one, other = (text(([[w, w]], [[w]], [[w], [w]]), 9, 3) for w in "ab")
    assert torch.equal(one.train.tokens, other.train.tokens) and one.hash() != other.hash()


def test_what_memory_does_not_hold_is_refused(monkeypatch):
    monkeypatch.setattr("vaebench.data.vocabulary.MOST", 20)
    with pytest.raises(UserError, match=r"7 sentences of up to 3 tokens; 20 tokens fit"):
        text(([["a"]] * 3, [["a"]] * 2, [["a"]] * 2), 9, 3)
