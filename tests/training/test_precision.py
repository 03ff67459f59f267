"""Training with smaller numbers: in the networks alone, and in training alone."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from tests.cells import cell, digits
from vaebench import Gaussian, Variant, elbo
from vaebench.compute import precision
from vaebench.errors import UserError
from vaebench.training.build import build
from vaebench.training.fit import fit

CPU = torch.device("cpu")
SHORT = {"epochs": 1, "evaluate": "last", "critic": "patchgan"}


def trained(objective=elbo, **changes):
    made = build(cell(**SHORT | changes), Variant("gaussian", Gaussian, objective), digits())
    return made.model, fit(made, lambda row, validated: None).history[-1]


def test_networks_multiply_smaller_numbers_in_training_alone():
    network, seen = nn.Linear(3, 2), []
    network.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    x = torch.randn(4, 3)
    exact = network(x)
    with precision.reduced([network], "bf16-mixed", CPU):
        made = network(x)
        assert made.dtype == torch.float32 and not made.equal(exact)
        assert made.equal(made.bfloat16().float())
        torch.testing.assert_close(made, exact, atol=0.03, rtol=0.03)
        assert network.eval()(x).equal(exact)
        with pytest.raises(RuntimeError, match="shapes"):
            network.train()(x.T)
        assert not torch.is_autocast_enabled("cpu")
    assert network(x).equal(exact)
    assert seen[0] == torch.float32 and seen[1] == torch.bfloat16


def test_densities_and_objectives_are_float32_while_networks_are_not():
    types = []

    def told(draw):
        if torch.is_grad_enabled():
            types.extend(part.dtype for part in (draw.z, draw.log_px, draw.log_qz, draw.outputs))
        return elbo(draw)

    model, row = trained(told, precision="bf16-mixed")
    assert set(types) == {torch.float32}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    _, exact = trained(precision="32")
    assert row["train_objective"] != exact["train_objective"]
    for name in ("train_objective", "valid_elbo", "train_critic"):
        assert row[name] == pytest.approx(exact[name], rel=0.05)


def test_the_default_changes_no_name_and_no_number():
    assert cell().id == cell(precision="32").id != cell(precision="bf16-mixed").id
    assert "precision" not in cell().record()
    assert cell(precision="bf16-mixed").record()["precision"] == "bf16-mixed"


def test_what_a_device_cannot_compute_with_is_refused_before_training():
    with pytest.raises(UserError, match="16-mixed cannot be had on cpu; take 32 or bf16-mixed"):
        trained(precision="16-mixed")


def test_scaled_losses_take_the_same_steps(monkeypatch):
    plain, _ = trained(clip_norm=4.0)
    scaled = []
    scale = GradScaler.scale
    monkeypatch.setattr(GradScaler, "scale", lambda *both: scaled.append(1) or scale(*both))
    here = partial(GradScaler, "cpu")
    monkeypatch.setattr(torch.amp, "GradScaler", lambda enabled: here(enabled=True))
    other, _ = trained(clip_norm=4.0)
    assert scaled
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
