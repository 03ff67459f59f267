from itertools import product

import pytest
import torch

from vaebench.models.backbones import BACKBONES
from vaebench.models.items import PAD
from vaebench.models.likelihoods import Tokens as Categories
from vaebench.models.tokens import Tokens, trimmed

LENGTH, SYMBOLS, LATENT = 4, 3, 2
NAMES = [name for name, backbone in BACKBONES.items() if backbone.kind == "tokens"]
ORDERED = [name for name in NAMES if name != "bow"]


def parts(name, end=None, dropout=0.0, length=LENGTH, symbols=SYMBOLS):
    torch.manual_seed(0)
    encoder, decoder = BACKBONES[name].build((length, symbols), LATENT, 8)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return encoder.eval(), Tokens(decoder, Categories(symbols), length, end, dropout).eval()


def every(length, symbols=SYMBOLS):
    return torch.tensor(list(product(range(symbols), repeat=length)))


@pytest.mark.parametrize("name", NAMES)
def test_sequences_of_one_length_have_probabilities_that_sum_to_one(name):
    _, model = parts(name)
    x = every(LENGTH)
    z = torch.randn(5, 1, LATENT)
    with torch.no_grad():
        total = model.log_prob(z.expand(5, len(x), -1), x).logsumexp(1)
    torch.testing.assert_close(total, torch.zeros(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_that_end_have_probabilities_that_sum_to_one(name):
    """Those that have ended by then, and those that go on, whose first tokens are scored."""
    _, model = parts(name, end=0)
    rows = set()
    for row in every(LENGTH).tolist():
        stop = row.index(0) + 1 if 0 in row else LENGTH
        rows.add(tuple(row[:stop] + [PAD] * (LENGTH - stop)))
    x = torch.tensor(sorted(rows))
    with torch.no_grad():
        total = model.log_prob(torch.randn(1, 1, LATENT).expand(1, len(x), -1), x).logsumexp(1)
    torch.testing.assert_close(total, torch.zeros(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name):
    encoder, model = parts(name)
    x = torch.tensor([[0, 2, PAD, PAD], [1, PAD, PAD, PAD], [2, 1, 0, 2]])
    z = torch.randn(6, 3, LATENT)
    with torch.no_grad():
        together, h = model.log_prob(z, x), encoder(x)
        for row in range(3):
            alone = x[row : row + 1]
            one = model.log_prob(z[:, row : row + 1], alone)[:, 0]
            torch.testing.assert_close(one, together[:, row], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(encoder(alone)[0], h[row], atol=1e-5, rtol=1e-5)
    assert trimmed(x[:2]).shape == (2, 2)


@pytest.mark.parametrize("name", ORDERED)
def test_a_token_is_told_those_before_it_alone(name):
    _, model = parts(name)
    z = torch.randn(1, 2, LATENT)
    x = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 1]])
    z[:, 1] = z[:, 0]
    with torch.no_grad():
        logits = model.outputs(z, x)
    torch.testing.assert_close(logits[:, 0, :3], logits[:, 1, :3])
    assert not torch.allclose(logits[:, 0, 3], logits[:, 1, 3])


def test_bags_of_words_have_no_order():
    encoder, model = parts("bow")
    x = torch.tensor([[0, 1, 2, 2], [2, 2, 1, 0]])
    z = torch.randn(3, 1, LATENT).expand(3, 2, -1)
    with torch.no_grad():
        torch.testing.assert_close(*encoder(x))
        torch.testing.assert_close(*model.log_prob(z, x).unbind(1))


@pytest.mark.parametrize("name", ORDERED)
def test_word_dropout_is_of_training_alone(name):
    _, model = parts(name, dropout=0.5)
    _, plain = parts(name)
    x, z = torch.tensor([[0, 1, 2, 0]]), torch.randn(3, 1, LATENT)
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(z, x), plain.log_prob(z, x))
        model.train()
        values = torch.stack([model.log_prob(z, x) for _ in range(20)])
    assert len(values.unique(dim=0)) > 1


@pytest.mark.parametrize("name", ORDERED)
def test_a_decoder_that_is_told_nothing_never_is(name):
    _, model = parts(name, dropout=1.0)
    z = torch.randn(1, 1, LATENT).expand(1, 2, -1)
    x = torch.tensor([[0, 1, 2, 0], [2, 2, 2, 2]])
    for mode in (True, False):
        model.train(mode)
        with torch.no_grad():
            torch.testing.assert_close(*model.outputs(z, x).unbind(1))


@pytest.mark.parametrize(("name", "end"), [("lstm", None), ("transformer", 0), ("bow", 0)])
def test_samples_occur_as_often_as_their_probability_says(name, end):
    _, model = parts(name, end=end, length=3)
    torch.manual_seed(1)
    z = torch.randn(1, LATENT)
    drawn = model.sample(z.expand(20_000, -1))
    rows, counts = drawn.unique(dim=0, return_counts=True)
    with torch.no_grad():
        p = model.log_prob(z.expand(1, len(rows), -1), rows)[0].exp().double()
    share = counts.double() / len(drawn)
    z_scores = (share - p) / (p * (1 - p) / len(drawn)).sqrt()
    assert z_scores.abs().max() < 4.5
    assert p.sum() > 0.99


def test_the_most_probable_token_is_taken_each_time():
    _, model = parts("lstm", end=2)
    z = torch.randn(4, LATENT)
    x = model.likely(z)
    with torch.no_grad():
        logits = model.outputs(z[None], x)[0]
    inside = trimmed(x) >= 0
    assert (logits.argmax(-1)[inside] == trimmed(x)[inside]).all()
    for row in x.tolist():
        assert PAD not in row[: row.index(2)] if 2 in row else PAD not in row


def test_what_is_decoded_depends_on_the_sequence():
    _, model = parts("lstm")
    with pytest.raises(ValueError, match="give it x"):
        model.outputs(torch.zeros(1, LATENT))
