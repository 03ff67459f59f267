"""Weights are kept once for each tensor, and refused before training where they cannot be kept."""

import sys

import pytest
import torch
from safetensors.torch import load
from torch import nn

import vaebench
from tests.finished import train
from vaebench.errors import UserError
from vaebench.models import weights
from vaebench.registry.catalogue import catalogue


class Tied(nn.Module):
    """A matrix with two names, a view of it, and two empty buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(3, 4)
        self.two.weight = self.one.weight
        self.turned = nn.Parameter(self.one.weight.data.T)
        self.register_buffer("empty", torch.empty(0))
        self.register_buffer("void", torch.empty(0))


def test_a_tensor_with_two_names_is_kept_once_and_read_under_both():
    torch.manual_seed(0)
    tied, other = Tied(), Tied()
    kept = load(weights.pack(tied, {"cell": "a"}))
    assert set(tied.state_dict()) - set(kept) == {"two.weight"}
    whole = weights.complete(other, kept)
    assert whole is not None
    other.load_state_dict(whole)
    for name, value in tied.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert other.one.weight is other.two.weight
    assert torch.equal(other.turned, other.one.weight.T)


def test_weights_that_were_kept_under_both_names_are_read_too():
    tied = Tied()
    both = {name: value.clone() for name, value in tied.state_dict().items()}
    assert weights.complete(Tied(), both) is not None


@pytest.mark.parametrize("change", ["missing", "shape", "dtype", "more"])
def test_weights_of_another_module_do_not_fit(change):
    kept = load(weights.pack(Tied(), {}))
    if change == "missing":
        del kept["one.weight"]
    elif change == "shape":
        kept["one.bias"] = torch.zeros(5)
    elif change == "dtype":
        kept["one.bias"] = torch.zeros(4, dtype=torch.float64)
    else:
        kept["three.weight"] = torch.zeros(1)
    assert weights.complete(Tied(), kept) is None


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"step": 3}


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("graph", torch.eye(3).to_sparse())


class Expanded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("wide", torch.ones(1).expand(5))


@pytest.mark.parametrize(
    ("module", "what"),
    [(Extra(1, 1), "_extra_state"), (Sparse(), "dense"), (Expanded(), "wide")],
    ids=["extra", "sparse", "expanded"],
)
def test_what_cannot_be_kept_is_refused_with_the_remedy(module, what):
    with pytest.raises(UserError, match=what) as error:
        weights.verify(module)
    assert "parameter" in str(error.value)


def test_what_can_be_kept_is_verified():
    weights.verify(Tied())


PLUGIN = """
from torch import nn
from torch.distributions import Independent, Normal
from torch.nn.functional import softplus
from vaebench import Backbone, Posterior, Variant, hookimpl

class Encoder(nn.Module):
    def __init__(self, pixels, width):
        super().__init__()
        self.features, self.first = width, nn.Linear(pixels, width)

    def forward(self, x):
        return self.first(x.flatten(1)).relu()

class Decoder(nn.Module):
    def __init__(self, shape, latent, width, matrix):
        super().__init__()
        self.shape, self.lift, self.matrix = shape, nn.Linear(latent, width), matrix

    def forward(self, z):
        return (self.lift(z).relu() @ self.matrix).unflatten(-1, self.shape)

def build(shape, latent, width):
    encoder = Encoder(shape[0] * shape[1] * shape[2], width)
    return encoder, Decoder(shape, latent, width, encoder.first.weight)

class Heads(Posterior):
    def __init__(self, features, context):
        super().__init__(features, context)
        self.a, self.b = nn.Linear(context, features), nn.Linear(context, features)
        self.b.weight = self.a.weight

    def forward(self, h):
        return Independent(Normal(self.a(h), softplus(self.b(h)) + 1e-3), 1)

class Counting(Heads):
    def get_extra_state(self):
        return {"step": 1}

    def set_extra_state(self, state):
        pass

@hookimpl
def vaebench_backbones():
    return {"tied": Backbone("a shared matrix", build, width=lambda shape: 16)}

@hookimpl
def vaebench_variants():
    return [Variant("tied-heads", Heads), Variant("counting", Counting)]
"""


@pytest.fixture
def tied(tmp_path, monkeypatch):
    """Install a package with a backbone and a posterior of shared weights."""
    (tmp_path / "tied_module.py").write_text(PLUGIN)
    info = tmp_path / "tied-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tied\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vaebench]\ntied = tied_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tied_module", raising=False)
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()


def test_a_training_with_shared_weights_is_kept_and_read_back(tied, tmp_path):
    name = train(tmp_path / "run", backbone="tied", plugin="tied-heads")
    kept = load((tmp_path / "run" / "cells" / name / "model.safetensors").read_bytes())
    assert not {"decoder.matrix", "posterior.b.weight"} & set(kept)
    model = vaebench.load(tmp_path / "run").model(name)
    assert model.decoder.matrix is model.encoder.first.weight
    assert torch.equal(model.decoder.matrix, kept["encoder.first.weight"])
    assert torch.equal(model.posterior.b.weight, kept["posterior.a.weight"])


def test_what_cannot_be_kept_fails_before_it_is_trained(tied, tmp_path):
    with pytest.raises(AssertionError, match="_extra_state"):
        train(tmp_path / "run", plugin="counting")
    assert not list((tmp_path / "run").rglob("history.csv"))
