"""A training that is cut off and taken up again ends as if nothing had happened."""

import math
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.cells import cell, digits
from vaebench import Gaussian, Variant, elbo, iwae
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.checkpoint import Keeper, Safe, pack, unpack
from vaebench.training.fit import fit

CPU = torch.device("cpu")


class Cut(Exception):
    """Stands for the end of the process."""


def train(one, path, objective=elbo, samples=1, steps=math.inf, every=0.0):
    """Train; cut off in the given step, counted from the start of this process."""
    done = 0

    def until(draw):
        nonlocal done
        done += torch.is_grad_enabled()
        if done > steps:
            raise Cut
        noise = random.random() + np.random.rand()
        return objective(draw) * (1 + 0.01 * noise)

    variant = Variant("until", Gaussian, until, samples=samples)
    made = build(one, variant, digits())
    model, critic = made.model, made.critic
    trained = fit(made, lambda row, validated: None, Keeper(path, every))
    return model, critic, trained


def seed():
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)


def timeless(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def same(first, second):
    (model, critic, trained), (model_2, critic_2, trained_2) = first, second
    for one, two in ((model, model_2), (critic, critic_2)):
        if one is not None:
            a, b = one.state_dict(), two.state_dict()
            assert all(torch.equal(a[key], b[key]) for key in a)
    assert timeless(trained.history) == timeless(trained_2.history)
    assert trained.epoch == trained_2.epoch
    assert trained.decoder_passes == trained_2.decoder_passes


@pytest.mark.parametrize("steps", [1, 5, 8, 9, 10, 17])
@pytest.mark.parametrize(
    "changes",
    [
        {"critic": "patchgan", "lr_schedule": "cosine", "kl_warmup": 1},
        {"binarise": "fixed", "evaluate": "last"},
    ],
)
def test_a_cut_off_training_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, steps, changes):
    one = cell(**changes)
    seed()
    whole = train(one, None)
    seed()
    with pytest.raises(Cut):
        train(one, tmp_path / "checkpoint", steps=steps)
    assert steps == 1 or (tmp_path / "checkpoint").exists()
    if steps > 1:
        random.seed(99)
        np.random.seed(99)
        torch.manual_seed(99)
    else:
        seed()
    same(whole, train(one, tmp_path / "checkpoint"))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "radam", "ema": 0.9},
        {"optimiser": "nadam", "kl_schedule": "cyclical[cycles=1,share=0.3]"},
        {"optimiser": "rmsprop[momentum=0.5]", "clip_norm": 4.0, "free_bits": 0.2},
        {"optimiser": "sgd[momentum=0.9]", "ema": 0.9, "evaluate": "last", "critic": "patchgan"},
        {"optimiser": "adamw", "weight_decay": 0.1, "kl_schedule": "sigmoid", "kl_warmup": 1},
        {"optimiser": "adamax", "precision": "bf16-mixed"},
    ],
    ids=lambda changes: ",".join(map(str, changes.values())),
)
def test_every_setting_of_training_goes_on_bit_for_bit(tmp_path, changes):
    one = cell(**changes)
    seed()
    whole = train(one, None)
    seed()
    with pytest.raises(Cut):
        train(one, tmp_path / "checkpoint", steps=13)
    torch.manual_seed(99)
    random.seed(99)
    np.random.seed(99)
    same(whole, train(one, tmp_path / "checkpoint"))


@pytest.mark.parametrize("steps", [10, 17])
def test_steps_taken_several_at_a_time_are_the_same_ones(tmp_path, steps):
    one = cell(critic="patchgan", lr_schedule="cosine")
    seed()
    whole = train(one, None)
    seed()
    same(whole, train(one, None, every=60.0))
    seed()
    with pytest.raises(Cut):
        train(one, tmp_path / "checkpoint", steps=steps, every=1e-9)
    assert (tmp_path / "checkpoint").exists()
    seed()
    same(whole, train(one, tmp_path / "checkpoint", every=1e-9))


def test_a_budget_may_end_between_steps_taken_together():
    one = cell(budget="decoder-passes", epochs=3)
    seed()
    whole = train(one, None, iwae, samples=2)
    seed()
    same(whole, train(one, None, iwae, samples=2, every=60.0))
    assert whole[2].decoder_passes < 3 * 9 * 128 + 2 * 128


@pytest.mark.parametrize(("plugin", "steps"), [("factor-vae", 10), ("aae", 5)])
def test_a_rival_goes_on_bit_for_bit(tmp_path, plugin, steps):
    one = cell(plugin=plugin, critic="patchgan" if plugin == "aae" else "none", kl_warmup=1)
    chosen = catalogue().variant(f"{plugin}[width=8]")

    def rivalled(path, until=math.inf):
        done = 0

        def objective(draw):
            nonlocal done
            done += torch.is_grad_enabled()
            if done > until:
                raise Cut
            return chosen.objective(draw)

        made = build(one, replace(chosen, objective=objective), digits())
        return made, fit(made, lambda row, validated: None, Keeper(path, 0.0))

    made, trained = rivalled(None)
    with pytest.raises(Cut):
        rivalled(tmp_path / "checkpoint", steps)
    again, trained_again = rivalled(tmp_path / "checkpoint")
    same((made.model, made.critic, trained), (again.model, again.critic, trained_again))
    same((made.model, made.rival, trained), (again.model, again.rival, trained_again))
    start = build(one, chosen, digits()).rival.state_dict()
    assert not all(torch.equal(start[k], v) for k, v in again.rival.state_dict().items())


def test_cut_off_again_and_again(tmp_path):
    one = cell(critic="patchgan", budget="decoder-passes", epochs=4)
    seed()
    whole = train(one, None, iwae, samples=3)
    seed()
    for _ in range(30):
        try:
            cut = train(one, tmp_path / "checkpoint", iwae, samples=3, steps=3)
            break
        except Cut:
            continue
    same(whole, cut)


@pytest.mark.parametrize("harm", ["truncated", "altered", "empty", "pickle", "other"])
def test_a_checkpoint_that_cannot_be_used_costs_time_and_nothing_else(tmp_path, harm):
    path, one = tmp_path / "checkpoint", cell()
    with pytest.raises(Cut):
        train(one, path, steps=5)
    content = path.read_bytes()
    if harm == "other":
        path.write_bytes(content)
        one = replace(one, seed=7)
    else:
        flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        harmed = {"truncated": content[:-5], "altered": flipped, "empty": b""}
        path.write_bytes(harmed.get(harm, pickle.dumps({"state_dict": {}})))
    seed()
    whole = train(one, None)
    seed()
    same(whole, train(one, path))


def test_trees_come_back_as_they_were():
    tree = {
        "a": [torch.arange(3), (1, None, True, -math.inf)],
        0: {"x": torch.zeros(()), "tensor": "0"},
        "empty": {},
    }
    back = unpack(pack(tree, "me"), "me")
    assert torch.equal(back["a"][0], tree["a"][0])
    assert back["a"][1] == (1, None, True, -math.inf)
    assert back[0]["tensor"] == "0" and back[0]["x"].shape == ()
    assert back["empty"] == {}
    with pytest.raises(ValueError, match="another cell"):
        unpack(pack(tree, "me"), "you")
    with pytest.raises(TypeError, match="holds no set"):
        pack({"a": {1}}, "me")


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with pytest.raises(Cut):
        train(cell(), path, steps=5)

    def refuse(*args, **kwargs):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    train(cell(), path)
    assert not Safe("someone else's").holds(path)
