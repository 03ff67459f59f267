"""Functions of a variant are given what they name and nothing else."""

import copy

import pytest
import torch
from torch import nn

from tests.cells import cell, digits
from vaebench import Gaussian, Shared, Variant, elbo
from vaebench.models.shared import stand_ins
from vaebench.models.variant import FACTS, informed
from vaebench.registry.options import configure, options
from vaebench.training.build import build


def of_all(features, context, *, items):
    made = Gaussian(features, context)
    made.items = items
    return made


def counted(draw, price=2.0, *, items):
    return items * price


def test_who_names_the_number_of_images_is_given_it():
    variant = informed(Variant("a", of_all, counted, penalties={"b": counted, "c": elbo}), items=7)
    assert variant.posterior(2, 3).items == 7
    assert variant.objective(None) == variant.penalties["b"](None) == 14
    assert variant.penalties["c"] is elbo


def test_an_option_of_that_name_is_an_option():
    def own(draw, items: int = 3):
        return items

    variant = Variant("a", Gaussian, own)
    assert options(variant)["items"] == 3
    assert informed(variant, items=7).objective(None) == 3
    assert configure(variant, {"items": "5"}).objective(None) == 5


def test_what_is_given_is_no_option():
    variant = Variant("a", of_all, counted)
    assert set(options(variant)) == {"price", "samples"}
    chosen = informed(configure(variant, {"price": "3"}), items=7)
    assert chosen.objective(None) == 21


def test_nobody_is_given_what_is_not_known():
    def strange(draw, *, colour):
        return colour

    with pytest.raises(TypeError, match="colour"):
        informed(Variant("a", Gaussian, strange), items=7).objective(None)


class Curious(Gaussian):
    """Keeps what it is given."""

    def __init__(self, features, context, *, encoder, decoder, shape, items):
        super().__init__(features, context)
        self.encoder, self.decoder, self.shape, self.items = encoder, decoder, shape, items


def test_the_model_s_networks_are_given_and_stay_its_own():
    model = build(cell(), Variant("curious", Curious), digits()).model
    posterior = model.posterior
    assert (posterior.shape, posterior.items) == ((1, 8, 8), len(digits().train))
    assert posterior.encoder.network is model.encoder
    assert posterior.decoder.network is model.decoder
    plain = build(cell(), Variant("gaussian", Gaussian), digits()).model
    assert list(model.state_dict()) == list(plain.state_dict())
    other = copy.deepcopy(model)
    assert other.posterior.encoder.network is other.encoder is not model.encoder


def test_a_variant_tried_alone_is_given_stand_ins_for_everything():
    before = torch.get_rng_state()
    made = stand_ins(8)
    assert set(made) == set(FACTS) and torch.equal(torch.get_rng_state(), before)
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(3, *made["shape"], dtype=dtype)
        z = torch.randn(3, 5, dtype=dtype)
        assert made["encoder"](x).shape == (3, 8)
        assert made["decoder"](z).shape == x.shape and made["decoder"](z).dtype == dtype


def test_a_network_can_be_seen_as_evaluation_sees_it():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    shared, x = Shared(network), torch.randn(6, 3)
    before = copy.deepcopy(network.state_dict())
    one = shared.evaluated(x)
    assert all(part.training for part in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    one.square().sum().backward()
    assert network[0].weight.grad.abs().sum() > 0
    assert not torch.equal(shared(x), shared(x))
    network.load_state_dict(before)
    assert torch.equal(network.eval()(x), one)
    assert torch.equal(shared.evaluated(x), one) and not network.training


def test_the_mode_comes_back_where_the_network_fails():
    shared = Shared(nn.Linear(3, 4))
    with pytest.raises(RuntimeError):
        shared.evaluated(torch.zeros(2, 5))
    assert shared.network.training
