"""Networks of a variant's own: who builds them, what they are told, and what a table says."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.cells import cell, digits
from vaebench import Gaussian, Variant
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.models.networks import tried
from vaebench.registry.lookup import load
from vaebench.registry.options import configure, options
from vaebench.training.build import build


class Flat(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.features, self.layer = features, nn.Linear(64, features)

    def forward(self, x):
        return self.layer(x.flatten(1)).tanh()


class Square(nn.Module):
    def __init__(self, latent, outputs):
        super().__init__()
        self.layer, self.outputs = nn.Linear(latent, 64 * outputs), outputs

    def forward(self, z):
        return self.layer(z).unflatten(-1, (self.outputs, 8, 8))


def networks(features, hidden=5, *, shape, outputs, given):
    return Flat(hidden), Square(features + given, outputs * shape[0])


OWN = Variant("own", Gaussian, networks=networks)


def test_the_model_is_made_of_them_and_of_nothing_else_that_is_not_shared():
    plain = build(cell(), Variant("gaussian", Gaussian), digits()).model
    model = build(cell(), configure(OWN, {"hidden": "7"}), digits()).model
    assert isinstance(model.encoder, Flat) and isinstance(model.decoder, Square)
    assert model.posterior.head.in_features == model.encoder.features == 7
    assert type(model.likelihood) is type(plain.likelihood)
    x = torch.rand(3, 1, 8, 8).round()
    assert model.draw(x, 2).log_px.shape == (2, 3)


def test_they_depend_on_the_seed_of_the_cell_alone():
    torch.manual_seed(0)
    one = build(cell(), OWN, digits()).model
    torch.manual_seed(1)
    two, other = (build(cell(seed=seed), OWN, digits()).model for seed in (cell().seed, 9))
    assert torch.equal(one.decoder.layer.weight, two.decoder.layer.weight)
    assert not torch.equal(one.decoder.layer.weight, other.decoder.layer.weight)


def test_the_decoder_is_told_the_condition_and_makes_what_the_likelihood_takes():
    given = load("digits[given=label]", Request(Path()))
    model = build(cell(likelihood="logistic", binarise="none"), OWN, given).model
    assert model.decoder.outputs == model.likelihood.outputs
    assert model.decoder.layer.in_features == cell().latent + 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda features: Flat(3), "builds a Flat"),
        (lambda features: (Flat(3), Square(features + 1, 1)), "decoder of the network pair of own"),
        (lambda features: (Flat(3), Square(features, 2)), r"\(2, 2, 8, 8\) instead of"),
        (lambda features: (nn.Flatten(), Square(features, 1)), "attribute `features`"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_a_sentence(wrong, message):
    with pytest.raises(UserError, match=message):
        build(cell(), Variant("own", Gaussian, networks=wrong), digits())


def test_their_options_are_those_of_the_variant():
    assert options(OWN) == {"hidden": 5, "samples": 1}


def test_tried_alone_a_posterior_stands_behind_its_encoder():
    class Looking(Gaussian):
        def __init__(self, features, context, *, encoder, decoder):
            super().__init__(features, context)
            self.encoder, self.decoder = encoder, decoder

    def small(features, *, shape, outputs):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
        encoder.features = 3
        return encoder, nn.Sequential(nn.Linear(features, 8), nn.Unflatten(-1, shape))

    variant = tried(Variant("looking", Looking, networks=small), 8)
    one, two = (variant.posterior(2, 8).double() for _ in range(2))
    h = torch.randn(4, 8).double()
    assert one(h).mean.shape == (4, 2)
    assert {name.split(".")[0] for name, _ in one.named_parameters()} == {"encoder", "posterior"}
    z = torch.randn(4, 2).double()
    assert torch.equal(one.posterior.decoder(z), two.posterior.decoder(z))
    assert one.posterior.encoder.network is one.encoder
    other = copy.deepcopy(one)
    assert other.posterior.encoder.network is other.encoder is not one.encoder
