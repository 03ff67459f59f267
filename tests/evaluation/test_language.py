import math

import numpy as np
import pytest
import torch

from vaebench.compute.random import seeded
from vaebench.data.dataset import subset
from vaebench.data.hmm import Hmm
from vaebench.data.images import Request
from vaebench.data.text import Sentences, Text
from vaebench.evaluation.metrics import likelihood
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.language import METRICS
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.evaluation.texts import texts
from vaebench.models.backbones import BACKBONES
from vaebench.models.likelihoods import Tokens as Categories
from vaebench.models.posterior import Gaussian
from vaebench.models.tokens import Tokens
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.lookup import load

LENGTH, SYMBOLS, LATENT = 5, 3, 2


class Exact(torch.nn.Module):
    """A decoder that knows the source: the logits are its log-probabilities, whatever z is."""

    def __init__(self, source):
        super().__init__()
        self.source = source
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def forward(self, z, before):
        rows = []
        for place in range(before.shape[1]):
            told = before[:, 1 : place + 1]
            each = [
                self.source.log_prob(torch.cat([told, torch.full_like(told[:, :1], s)], 1))
                if place
                else self.source.log_prob(torch.full((len(before), 1), s))
                for s in range(SYMBOLS)
            ]
            rows.append(torch.stack(each, -1))
        return torch.stack(rows, 1).float() + 0 * z.sum() + 0 * self.bias


def text(source, count=60):
    tokens = torch.from_numpy(source.sample(np.random.default_rng(0), count, LENGTH))
    some = Sentences(tokens, torch.arange(count) % 2)
    words = tuple("abc")
    return Text(some, some, some, vocabulary=words, log_prob=source.log_prob)


@pytest.fixture(scope="module")
def source():
    return Hmm(
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]),
        np.array([2 / 3, 1 / 3]),
    )


def subject(data, decoder=None, **more):
    with seeded(1):
        encoder, own = BACKBONES["lstm"].build(data.shape, LATENT, 8)
        posterior = Gaussian(LATENT, 8)
    observation = Tokens(decoder or own, Categories(data.levels), data.shape.length, data.end)
    model = VAE(encoder, posterior, observation).eval().requires_grad_(False)
    effort = {"iw_samples": 8, "iw_images": 20, "ais_images": 6, "ais_budget": 400} | more
    return Subject(model, Variant("g", Gaussian), data, 0, "tokens", "thumbnail", **effort)


def test_a_model_that_is_the_source_has_no_regret(source):
    found = subject(text(source), Exact(source))
    records = evaluate(found, select(["regret", "elbo"]), {}, lambda done: None).records
    assert abs(records["regret"]["value"]) < 1e-4
    exact = -source.log_prob(found.images.test.tokens).mean().item()
    assert records["regret"]["detail"]["source_nats"] == pytest.approx(exact)
    # q is not the prior: the ELBO is lower by its KL.
    kl = found.terms.kl.mean().item()
    assert records["elbo"]["value"] == pytest.approx(-exact - kl, abs=1e-3)


def test_nats_a_token_are_a_mean_over_tokens_and_perplexity_their_exponential(source):
    found = subject(text(source))
    records = evaluate(found, METRICS, {}, lambda done: None).records
    elbo = found.terms.elbo
    rate = -elbo.double().sum().item() / (len(elbo) * LENGTH)
    assert records["nats_per_token_elbo"]["value"] == pytest.approx(rate)
    assert records["perplexity_elbo"]["value"] == pytest.approx(math.exp(rate))
    for name in ("ais", "iwae_8", "elbo"):
        nats, perplexity = records[f"nats_per_token_{name}"], records[f"perplexity_{name}"]
        assert perplexity["value"] == pytest.approx(math.exp(nats["value"]))
        assert perplexity["se"] == pytest.approx(perplexity["value"] * nats["se"])
    assert records["perplexity_ais"]["value"] <= records["perplexity_elbo"]["value"] * 1.05
    assert records["nats_per_token_ais"]["depends"]["tokens"] == 6 * LENGTH


def test_the_error_of_nats_a_token_is_that_of_resampled_sentences():
    data = load("grammar", Request(None))
    data = Text(*(subset(data.train, slice(200)),) * 3, vocabulary=data.vocabulary, separator=" ")
    found = subject(data)
    record = evaluate(found, select(["nats_per_token_elbo"]), {}, lambda done: None).records
    one = record["nats_per_token_elbo"]
    noise = torch.Generator().manual_seed(0)
    rows = torch.randint(200, (4000, 200), generator=noise)
    nats, lengths = -found.terms.elbo.double(), data.test.lengths.double()
    spread = (nats[rows].sum(1) / lengths[rows].sum(1)).std().item()
    assert one["se"] == pytest.approx(spread, rel=0.1)


def test_a_bound_is_computed_once_for_all_columns(source, monkeypatch):
    found, calls = subject(text(source)), []
    curve = likelihood.importance_curve
    monkeypatch.setattr(
        likelihood, "importance_curve", lambda *a, **more: calls.append(1) or curve(*a, **more)
    )
    evaluate(found, select(["iwae", "perplexity_iwae_{k}"]), {}, lambda done: None)
    assert len(calls) == 1


def test_numbers_of_pictures_say_why_there_are_none_of_text(source):
    found = subject(text(source))
    metrics = [m for m in select(["fid", "mse", "sharpness"]) if not m.sampled]
    records = evaluate(found, metrics, {}, lambda done: None).records
    assert records and all("of pictures" in record["reason"] for record in records.values())


def test_texts_are_words_and_the_same_again(source):
    one, two = (texts(subject(text(source))) for _ in range(2))
    assert one == two
    assert set(one) == {"samples", "reconstructions", "interpolations"}
    words = [word for group in one["samples"] for line in group for word in line.split(" ")]
    assert set(words) <= set("abc") and len(words) == 32 * LENGTH
    assert all(len(pair) == 2 for pair in one["reconstructions"])
