"""What a model is told of its items: conditions, and who sees what."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from tests.cells import cell, digits
from vaebench import Gaussian, elbo
from vaebench.data.conditions import conditioned
from vaebench.data.images import Images, Request
from vaebench.evaluation import ais, importance_bound
from vaebench.models.items import Items, Seen
from vaebench.models.likelihoods import Gaussian as Normals
from vaebench.models.observation import Pixels
from vaebench.models.posterior import classifies, pairs
from vaebench.models.vae import VAE
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build
from vaebench.training.fit import fit

NOISE = 0.3


class Told(Gaussian):
    """A Gaussian posterior whose prior is N(A y, S)."""

    def __init__(self, features, context, *, given):
        super().__init__(features, context)
        self.map = nn.Linear(given, features)
        self.raw = nn.Parameter(torch.linspace(0.5, 1.5, features))

    def prior(self, given=None):
        return Independent(Normal(self.map(given), self.raw), 1)


class Paired(Gaussian):
    """A posterior that training asks for something else."""

    def pair(self, h, seen):
        self.seen = seen
        return Independent(Normal(h[:, : self.features] + 5, 1.0), 1), self.prior()


def linear(latent=3, given=4, size=5):
    """p(z|y) = N(A y, S), p(x|z, y) = N(W z + V y + b, NOISE²) with random parameters."""
    torch.manual_seed(1)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 6))
    decoder = nn.Sequential(nn.Linear(latent + given, size), nn.Unflatten(-1, (1, 1, size)))
    with torch.no_grad():
        decoder[0].weight.mul_(2.0)
    posterior = Told(latent, 6 + given, given=given)
    return VAE(encoder, posterior, Pixels(decoder, Normals(2, scale=str(NOISE)))).requires_grad_(
        False
    )


def evidence(model, items):
    """log p(x|y) (B,) in closed form."""
    y, latent = items.seen.given.double(), model.posterior.features
    told, layer = model.posterior.map, model.decoder[0]
    weight = layer.weight.double()
    mean = y @ told.weight.double().T + told.bias.double()
    center = torch.cat([mean, y], -1) @ weight.T + layer.bias.double()
    spread = weight[:, :latent] * model.posterior.raw.double()
    cov = spread @ spread.T + NOISE**2 * torch.eye(len(weight))
    return MultivariateNormal(center, cov).log_prob(items.x.flatten(1).double())


def conditional(model, count=64, given=4):
    seen = Seen(torch.randn(count, given))
    blank = Items(torch.empty(count, 0), seen)
    return Items(model.simulated(model.prior(blank).sample(), blank), seen)


def test_annealing_finds_the_exact_evidence_given_a_condition():
    model = linear()
    items = conditional(model)
    truth = evidence(model, items)
    found = ais(partial(model.log_likelihood, x=items), model.prior(items), batch=64)
    errors = found.log_likelihood.cpu() - truth
    assert errors.mean().abs() < 3 * found.mean_se
    assert (errors / found.se.cpu()).square().mean() < 2
    other = Items(items.x, Seen(items.seen.given.roll(1, 0)))[:16]
    assert evidence(model, other).mean() < truth[:16].mean() - 1
    moved = ais(partial(model.log_likelihood, x=other), model.prior(other), batch=16)
    assert (moved.log_likelihood.cpu() - evidence(model, other)).abs().mean() < 0.1


def test_bounds_stay_below_the_evidence_given_a_condition():
    model = linear()
    items = conditional(model)
    bound = importance_bound(
        partial(model.log_likelihood, x=items), model.prior(items), model.encode(items), samples=50
    )
    truth = evidence(model, items)
    draw = model.draw(items, 200)
    assert elbo(draw).mean() < bound.mean() < truth.mean() + 0.05
    assert draw.p.batch_shape == (64,) and torch.equal(draw.seen.given, items.seen.given)
    assert draw.outputs.shape == (200, 64, 1, 1, 5)


def test_only_training_asks_for_the_pair():
    posterior = Paired(2, 6)
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(-1, (1, 2, 2)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    model = VAE(encoder, posterior, Pixels(decoder, Normals(2, scale="1")))
    items = Items(torch.rand(3, 1, 2, 2), Seen(labels=torch.tensor([1, -1, 0])))
    plain, paired = model.draw(items, 500), model.draw(items, 500, paired=True)
    h = model.features(items)
    torch.testing.assert_close(plain.q.mean, posterior(h).mean)
    torch.testing.assert_close(paired.q.mean, h[:, :2] + 5)
    assert torch.equal(posterior.seen.labels, items.seen.labels)
    z = paired.z.detach()
    torch.testing.assert_close(paired.fixed.log_qz(z), paired.q.log_prob(z))
    torch.testing.assert_close(plain.fixed.log_qz(z), plain.q.log_prob(z))


class Plain(nn.Module):
    """A posterior that is no `Posterior`: the two methods, and no more."""

    def __init__(self):
        super().__init__()
        self.inner = Gaussian(2, 6)

    def forward(self, h):
        return self.inner(h)

    def prior(self):
        return self.inner.prior()


def test_a_module_with_two_methods_is_a_posterior():
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(-1, (1, 2, 2)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    posterior = Plain()
    model = VAE(encoder, posterior, Pixels(decoder, Normals(2, scale="1")))
    draw = model.draw(torch.rand(3, 1, 2, 2), 5, paired=True)
    assert draw.z.shape == (5, 3, 2) and draw.fixed.log_qz(draw.z).shape == (5, 3)
    assert not pairs(posterior) and not classifies(posterior)


def read(name) -> Images:
    return load(name, Request(None))


@pytest.mark.parametrize("option", ["given=label", "given=left"])
def test_a_condition_reaches_encoder_prior_and_decoder(option):
    images = read(f"digits[{option}]")
    one = cell(dataset=f"digits[{option}]", data=images.hash())
    made = build(one, catalogue().variant("gaussian"), images)
    told = made.model.posterior.context - made.model.encoder.features
    assert told == {"given=label": 10, "given=left": 16}[option]
    assert next(made.model.decoder.parameters()).shape[1] == one.latent + told
    before = {name: weight.clone() for name, weight in made.model.named_parameters()}
    fit(made, lambda row, validated: None)
    moved = {
        name.split(".")[0]
        for name, weight in made.model.named_parameters()
        if not torch.equal(weight, before[name])
    }
    parts = {"encoder", "posterior", "observation"}
    assert moved == parts | ({"conditioner"} if option == "given=left" else set())


def test_a_condition_that_says_nothing_changes_no_number():
    def histories(images):
        made = build(cell(data=images.hash()), catalogue().variant("gaussian"), images)
        done = fit(made, lambda row, validated: None)
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in done.history]
        return rows, made.model.state_dict()

    plain = digits()

    def single(split):
        return replace(split, labels=torch.zeros(len(split), dtype=torch.long))

    one_class = replace(
        plain,
        train=single(plain.train),
        validation=single(plain.validation),
        test=single(plain.test),
    )
    told = conditioned("digits", one_class, {"given": "label"})
    assert told.train.given.shape == (len(plain.train), 0)
    (rows, weights), (others, same) = histories(plain), histories(told)
    assert rows == others
    assert all(torch.equal(weights[name], same[name]) for name in weights)
