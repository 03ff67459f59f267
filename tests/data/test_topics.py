"""Topics know the probability of a sequence, and what it says of its topic."""

from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

import vaebench
from vaebench.data import topics
from vaebench.data.hmm import Hmm
from vaebench.data.images import Request
from vaebench.data.topics import Topics, mixture, read
from vaebench.errors import UserError

NOWHERE = Request(Path("nowhere"))


def all_of(symbols, length):
    return torch.tensor(list(product(range(symbols), repeat=length)))


@pytest.mark.parametrize(("number", "symbols", "length"), [(1, 3, 4), (3, 4, 5), (5, 2, 8)])
def test_a_topic_is_a_state_that_stays(number, symbols, length):
    source, sequences = mixture(number, symbols), all_of(symbols, length)
    chain = Hmm(np.eye(number), source.emission, np.full(number, 1 / number))
    log_p = source.log_prob(sequences)
    assert log_p.tolist() == pytest.approx(chain.log_prob(sequences).tolist(), abs=1e-12)
    assert log_p.exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize(("number", "symbols", "length"), [(1, 3, 4), (3, 4, 5), (5, 2, 8)])
def test_information_is_the_entropy_that_knowing_the_topic_saves(number, symbols, length):
    source = mixture(number, symbols)
    log_p = source.log_prob(all_of(symbols, length))
    entropy = -(log_p.exp() @ log_p).item()
    found = source.information(length)
    assert found.error == 0
    assert found.nats == pytest.approx(entropy - length * source.entropy(), abs=1e-10)


def test_information_from_draws_is_within_its_error(monkeypatch):
    source = mixture(4, 5)
    exact = source.information(6)
    monkeypatch.setattr(topics, "_SUMMED", 0)
    found = source.information(6)
    assert exact.error == 0 < found.error < 0.01
    assert abs(found.nats - exact.nats) < 4 * found.error
    assert found == source.information(6)


def test_topics_that_share_no_symbol_are_known_from_one():
    apart = Topics(np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]).clip(1e-12))
    assert apart.information(1).nats == pytest.approx(log(2), abs=1e-9)
    assert apart.entropy() == pytest.approx(log(2), abs=1e-9)


def test_draws_are_as_frequent_as_they_should_be():
    count = 50_000
    source = mixture(3, 3)
    topic, found = source.sample(np.random.default_rng(0), count, 2)
    for each in range(3):
        rows = found[topic == each].ravel()
        exact = source.emission[each]
        share = np.bincount(rows, minlength=3) / len(rows)
        assert (np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / len(rows))).all()
    assert np.abs(np.bincount(topic) / count - 1 / 3).max() < 0.01


def test_the_data_set_is_the_same_on_every_machine():
    text = read(NOWHERE)
    assert [len(s) for s in (text.train, text.validation, text.test)] == [10_000, 2_000, 2_000]
    assert text.shape == (10, 20) and text.end is None and text.hash() == "06bf80300d711f05"
    assert text.train.labels.unique().tolist() == list(range(8))
    assert text.notes[0].startswith("A sequence says 2.0324 ± 0.0009 nats of its topic")
    more = read(NOWHERE, items=300)
    assert torch.equal(more.test.tokens, text.test.tokens)
    assert not torch.equal(read(NOWHERE, subset=1).test.tokens, text.test.tokens)


def test_the_entropy_that_it_says_is_that_of_its_test_split():
    text = vaebench.read("topics")
    log_p = text.log_prob(text.test.tokens)
    error = (log_p.std() / len(log_p) ** 0.5).item()
    assert "together they have 23.539" in text.notes[0]
    assert abs(-log_p.mean().item() - 23.539) < 4 * error < 0.4


def test_what_is_known_of_all_topics_is_not_said_of_some():
    assert vaebench.read("topics[labels=100]").log_prob is not None
    for less in ("without=3", "given=label"):
        assert vaebench.read(f"topics[{less}]").log_prob is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("topics[topics=0]", r"topics\[topics\] must be from 1 to 200, not 0"),
        ("topics[symbols=1]", "from 2 to 1000"),
        ("topics[length=0]", "from 1"),
    ],
)
def test_what_there_is_not(name, message):
    with pytest.raises(UserError, match=message):
        vaebench.read(name)
