"""A grammar knows the probability of its sentences, summed over all their trees."""

import math
from collections import Counter, defaultdict
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

import vaebench
from vaebench.data.grammar import RULES, Grammar, read
from vaebench.data.images import Request
from vaebench.data.text import PAD
from vaebench.errors import UserError

NOWHERE = Request(Path("nowhere"))
TOY = """
S  S A 2 | A B 3 | a b 1
A  A A 1 | a c 3
B  S A 1 | b 2
"""


def derived(rules, most):
    """The probability of every sentence of `most` words or fewer, tree by tree."""
    options = {}
    for line in rules.strip().splitlines():
        symbol, right = line.split(maxsplit=1)
        found = [each.split() for each in right.split("|")]
        total = sum(float(weight) for *_, weight in found)
        options[symbol] = [(parts, float(weight) / total) for *parts, weight in found]
    known = {}

    def of(symbol, width):
        if (symbol, width) not in known:
            sums = defaultdict(float)
            for parts, share in options[symbol]:
                if parts[0].islower():
                    harmonic = sum(1 / n for n in range(1, len(parts) + 1))
                    for n, word in enumerate(parts if width == 1 else [], 1):
                        sums[(word,)] += share / n / harmonic
                    continue
                for k in range(1, width):
                    halves = of(parts[0], k).items(), of(parts[1], width - k).items()
                    for (one, p), (two, q) in product(*halves):
                        sums[one + two] += share * p * q
            known[symbol, width] = dict(sums)
        return known[symbol, width]

    first = rules.split()[0]
    return {s: p for n in range(1, most + 1) for s, p in of(first, n).items()}


def encoded(grammar, sentences, length):
    """Sentences as tokens with their end."""
    found = torch.full((len(sentences), length), PAD, dtype=torch.int32)
    for row, words in zip(found, sentences, strict=True):
        row[: len(words)] = torch.tensor([grammar.vocabulary.index(word) for word in words])
        row[len(words)] = 0
    return found


@pytest.mark.parametrize(("rules", "most"), [(TOY, 5), (RULES, 3)])
def test_probabilities_are_those_of_all_trees(rules, most):
    grammar, exact = Grammar(rules), derived(rules, most)
    lengths = grammar.lengths(most)
    for n in range(most + 1):
        mass = sum(p for sentence, p in exact.items() if len(sentence) == n)
        assert lengths[n].item() == pytest.approx(mass, abs=1e-14)
    sentences = list(exact)
    log_p = grammar.log_prob(encoded(grammar, sentences, most + 1), most)
    assert log_p.dtype == torch.float64 and log_p.exp().sum().item() == pytest.approx(1)
    reached = lengths.sum().item()
    expected = [math.log(exact[sentence] / reached) for sentence in sentences]
    assert log_p.tolist() == pytest.approx(expected, abs=1e-10)


def test_what_no_tree_has_is_impossible():
    grammar, exact = Grammar(TOY), derived(TOY, 4)
    every = [s for n in range(1, 5) for s in product("abc", repeat=n)]
    log_p = grammar.log_prob(encoded(grammar, every, 5), 4)
    assert [s in exact for s in every] == log_p.isfinite().tolist()
    assert 0 < len(exact) < len(every) and not log_p.isnan().any()


def test_trees_of_one_word_are_counted_by_catalan():
    grammar = Grammar("S  S S 1 | a 3")
    sentences = [("a",) * n for n in range(1, 13)]
    log_p = grammar.log_prob(encoded(grammar, sentences, 13), 12)
    exact = [math.comb(2 * n - 2, n - 1) / n * 0.25 ** (n - 1) * 0.75**n for n in range(1, 13)]
    assert log_p.exp().tolist() == pytest.approx([p / sum(exact) for p in exact])


def test_only_whole_sentences_that_are_short_enough_are_possible():
    grammar = Grammar(TOY)
    a, b = (grammar.vocabulary.index(word) for word in "ab")
    rows = [[a, 0, -1, -1], [a, b, -1, -1], [a, b, 0, -1], [a, 0, b, 0], [0, -1, -1, -1]]
    log_p = grammar.log_prob(torch.tensor(rows), 3)
    assert log_p.isfinite().tolist() == [True, False, True, False, False]
    assert grammar.log_prob(torch.tensor(rows), 1).isfinite().tolist() == [True, *[False] * 4]
    assert grammar.log_prob(torch.tensor(rows), 1)[0].item() == pytest.approx(math.log(2 / 3))


def test_verbs_agree_with_subjects_across_what_is_between():
    grammar = Grammar(RULES)
    sentences = [
        f"{subject} near {other} that mary likes {verb}".split()
        for subject in ("the dog", "the dogs")
        for other in ("a house", "two houses")
        for verb in ("sleeps", "sleep")
    ]
    log_p = grammar.log_prob(encoded(grammar, sentences, 10), 9)
    assert log_p.isfinite().tolist() == [True, False, True, False, False, True, False, True]


def test_phrases_are_attached_in_several_ways():
    """With one way alone, each further phrase would divide by the same number."""
    grammar = Grammar(RULES)
    words = "tom sees mary" + " with anna" * 4
    sentences = [words.split()[:n] for n in (3, 5, 7, 9, 11)]
    ratios = grammar.log_prob(encoded(grammar, sentences, 12), 11).diff().tolist()
    assert all(later > sooner + 0.01 for sooner, later in pairwise(ratios))


@pytest.mark.parametrize("rules", [TOY, RULES])
def test_draws_are_as_frequent_as_they_should_be(rules):
    count, most = 20_000, 3
    grammar = Grammar(rules)
    tokens = grammar.sampler(most)(np.random.default_rng(0), count)
    seen = Counter(map(bytes, tokens))
    often = [np.frombuffer(key, np.int32) for key, number in seen.items() if number > 20]
    share = np.array([seen[bytes(key)] for key in often]) / count
    exact = grammar.log_prob(torch.tensor(np.stack(often)), most).exp().numpy()
    assert len(often) > 5 and share.sum() > 0.5
    assert (np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / count)).all()
    lengths = np.bincount((tokens != PAD).sum(1) - 1, minlength=most + 1) / count
    conditional = grammar.lengths(most) / grammar.lengths(most).sum()
    assert np.abs(lengths - conditional.numpy()).max() < 0.02


def test_the_data_set_is_the_same_on_every_machine():
    text = read(NOWHERE)
    assert [len(s) for s in (text.train, text.validation, text.test)] == [10_000, 2_000, 2_000]
    assert text.shape == (20, 80) and text.end == 0 and text.hash() == "c429abbd15242f08"
    assert "19 words or fewer, as 0.9113" in text.notes[0]
    assert text.log_prob(text.test.tokens).isfinite().all()
    assert int(text.test.lengths.max()) == 20 and int(text.test.lengths.min()) == 3
    more = read(NOWHERE, items=300)
    assert torch.equal(more.test.tokens, text.test.tokens)
    assert not torch.equal(read(NOWHERE, subset=1).test.tokens, text.test.tokens)


def test_long_sentences_are_no_rounding_error():
    text = read(NOWHERE, length=60, items=300)
    log_p = text.log_prob(text.test.tokens)
    assert log_p.min() < -100 and log_p.isfinite().all()


@pytest.mark.parametrize("length", [2, 61])
def test_what_there_is_not(length):
    with pytest.raises(UserError, match=r"grammar\[length\] must be from 3 to 60"):
        vaebench.read(f"grammar[length={length}]")
