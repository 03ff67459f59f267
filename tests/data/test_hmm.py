"""A hidden Markov chain knows the probability of what it draws."""

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vaebench
from vaebench.data.hmm import Hmm, chain, read
from vaebench.data.images import Request
from vaebench.data.text import PAD
from vaebench.errors import UserError

TOY = Hmm(
    np.array([[0.9, 0.1], [0.2, 0.8]]),
    np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]),
    np.array([2 / 3, 1 / 3]),
)


def all_of(symbols, length):
    return torch.tensor(list(product(range(symbols), repeat=length)))


def by_paths(source, sequence):
    """The sum over all hidden paths."""
    total = 0.0
    for path in product(range(len(source.start)), repeat=len(sequence)):
        steps = [source.transition[a, b] for a, b in pairwise(path)]
        emitted = [source.emission[k, x] for k, x in zip(path, sequence, strict=True)]
        total += source.start[path[0]] * np.prod([*steps, *emitted])
    return np.log(total)


def test_the_toy_has_its_known_values():
    """Computed once by an implementation of its own."""
    assert TOY.log_prob(torch.tensor([[0, 0, 1, 2, 2, 0]])).item() == pytest.approx(
        -6.605548246, abs=5e-10
    )
    known = {1: 1.038608835, 2: 2.041882722, 4: 4.028136646, 6: 6.011052820, 8: 7.993772689}
    for length, entropy in known.items():
        log_p = TOY.log_prob(all_of(3, length))
        assert -(log_p.exp() @ log_p).item() == pytest.approx(entropy, abs=5e-10)


@settings(deadline=None, max_examples=20)
@given(states=st.integers(1, 4), symbols=st.integers(2, 4), seed=st.integers(0, 99))
def test_probabilities_are_those_of_all_hidden_paths(states, symbols, seed):
    random = np.random.default_rng(seed)

    def rows(n, m):
        # With zeros, which make paths impossible.
        weights = random.random((n, m)) * (random.random((n, m)) < 0.7)
        weights[:, 0] += 0.01
        return weights / weights.sum(1, keepdims=True)

    source = Hmm(rows(states, states), rows(states, symbols), rows(1, states)[0])
    sequences = all_of(symbols, 4)
    log_p = source.log_prob(sequences)
    assert log_p.dtype == torch.float64 and log_p.exp().sum().item() == pytest.approx(1)
    with np.errstate(divide="ignore"):
        exact = [by_paths(source, row) for row in sequences[::7].tolist()]
    assert log_p[::7].tolist() == pytest.approx(exact, abs=1e-10)


def test_what_is_behind_the_end_counts_for_nothing():
    sequences = all_of(3, 3)
    longer = torch.cat([sequences, torch.full((27, 2), PAD)], 1)
    assert torch.allclose(TOY.log_prob(longer), TOY.log_prob(sequences), rtol=0, atol=1e-13)


def test_draws_are_as_frequent_as_they_should_be():
    count = 50_000
    found = TOY.sample(np.random.default_rng(0), count, 3)
    share = np.bincount(found @ [9, 3, 1], minlength=27) / count
    exact = TOY.log_prob(all_of(3, 3)).exp().numpy()
    assert (np.abs(share - exact) < 4.5 * np.sqrt(exact * (1 - exact) / count)).all()


def test_the_data_set_is_the_same_on_every_machine():
    text = read(Request(Path("nowhere")))
    assert [len(s) for s in (text.train, text.validation, text.test)] == [10_000, 2_000, 2_000]
    assert text.shape == (20, 20) and text.end is None and text.hash() == "dc00348ea74e5bff"
    more = read(Request(Path("nowhere")), items=300)
    assert torch.equal(more.test.tokens, text.test.tokens)
    other = read(Request(Path("nowhere")), items=300, subset=1)
    assert not torch.equal(other.test.tokens, text.test.tokens)
    assert torch.equal(other.log_prob(text.test.tokens), text.log_prob(text.test.tokens))


def test_a_symbol_tells_of_the_next_ones():
    """1.95 nats a symbol, where counts of pairs need 2.08, single ones 2.51, nothing 3.00."""
    text = read(Request(Path("nowhere")))
    assert text.log_prob is not None
    log_p = text.log_prob(text.test.tokens) / text.shape.length
    assert -log_p.mean().item() == pytest.approx(1.9477, abs=1e-3)
    assert log_p.std() / len(log_p) ** 0.5 < 0.01
    learned, test = text.train.tokens.long(), text.test.tokens.long()
    pairs = torch.ones(20, 20, dtype=torch.float64)
    pairs.index_put_((learned[:, :-1], learned[:, 1:]), torch.ones(()).double(), accumulate=True)
    given_last = (pairs / pairs.sum(1, keepdim=True)).log()[test[:, :-1], test[:, 1:]]
    assert -given_last.mean().item() > 2.05


def test_each_number_of_states_and_symbols_has_a_chain_of_its_own():
    for states, symbols in ((1, 2), (3, 5), (50, 100)):
        source = chain(states, symbols)
        for rows in (source.transition, source.emission, source.start[None]):
            assert rows.sum(1) == pytest.approx(1) and (rows > 0).all()
        assert source.emission.shape == (states, symbols)
        assert (source.emission == chain(states, symbols).emission).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hmm[states=0]", r"hmm\[states\] must be from 1 to 200, not 0"),
        ("hmm[symbols=1]", "from 2"),
        ("hmm[length=0]", "from 1 to 1000"),
        ("hmm[items=0]", "from 1 to 2500000"),
        ("hmm[length=1000,items=50001]", "from 1 to 50000, not 50001"),
        ("hmm[subset=-1]", "0 or more"),
        ("hmm[state=4]", "Did you mean 'states'"),
    ],
)
def test_what_there_is_not(name, message):
    with pytest.raises(UserError, match=message):
        vaebench.read(name)
