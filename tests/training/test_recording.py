"""Recorded steps, with a stand-in for the GPU that writes into the same memory each time."""

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from tests.cells import cell, digits
from vaebench.models.items import Items
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit
from vaebench.training.harness import Harness
from vaebench.training.recording import Recording, without_chance


def again_in_place(step, modules):
    """Run the step, and let each replay overwrite what it returned and its gradients."""
    made = step()
    means, _ = made
    parameters = list(modules.parameters())
    gradients = [p.grad for p in parameters]

    def play():
        again, _ = step()
        with torch.no_grad():
            for name, value in again.items():
                means[name].copy_(value)
            for parameter, place in zip(parameters, gradients, strict=True):
                if place is not None:
                    place.copy_(parameter.grad)

    return made, play


def recording(step, modules, record=None, ahead=nullcontext):
    return Recording(step, modules, record or (lambda each: again_in_place(each, modules)), ahead)


class Noisy:
    """A linear model with a draw in its loss and a buffer that counts steps."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = torch.nn.Linear(3, 2)
        self.model.register_buffer("steps", torch.zeros(()))
        self.calls = 0

    def __call__(self, stored, x):
        self.calls += 1
        self.model.zero_grad()
        self.model.steps += 1
        loss = (self.model(x.x) * torch.randn(len(x), 2)).square().mean() + stored.mean()
        loss.backward()
        return {"loss": loss.detach()}, len(x)


def batches(count=6, size=4):
    torch.manual_seed(1)
    return [(torch.rand(size), Items(torch.randn(size, 3))) for _ in range(count)]


def losses(step, model, given, weights=None):
    torch.manual_seed(2)
    found = []
    for number, (stored, x) in enumerate(given):
        weight = 1.0 if weights is None else weights[number]
        means, count = step(stored, x, weight)
        found.append((means["loss"].item(), count, model.weight.grad.clone()))
    return found


def same(first, second):
    return all(
        a == b and m == n and torch.equal(g, h)
        for (a, m, g), (b, n, h) in zip(first, second, strict=True)
    )


def computed(given):
    one = Noisy()
    return losses(lambda stored, x, _: one(stored, x), one.model, given), one


def test_a_recorded_step_gives_what_the_step_gives_and_leaves_random_states_and_buffers():
    given = batches()
    wanted, plain = computed(given)
    one = Noisy()
    found = recording(one, one.model)
    assert same(losses(found, one.model, given), wanted)
    assert found.reason == ""
    assert one.model.steps == plain.model.steps == 6


def test_steps_are_recorded_when_their_like_comes_again():
    one = Noisy()
    found = recording(one, one.model)
    losses(found, one.model, batches(1))
    assert one.calls == 1
    losses(found, one.model, batches(1))
    recorded = one.calls
    losses(found, one.model, batches(3))
    assert one.calls == recorded + 3  # the stand-in plays by calling once


def test_steps_of_other_shapes_and_kl_weights_are_apart():
    given = batches(3, 4) + batches(3, 5) + batches(4, 4)
    weights = [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 1]
    wanted, _ = computed(given)
    one = Noisy()
    assert same(losses(recording(one, one.model), one.model, given, weights), wanted)


def test_a_step_that_waits_is_computed_with_the_same_numbers_and_says_why():
    given = batches()
    wanted, plain = computed(given)
    one = Noisy()

    def waits():
        raise RuntimeError("called a synchronizing CUDA operation")

    found = recording(one, one.model, ahead=waits)
    assert same(losses(found, one.model, given), wanted)
    assert "synchronizing" in found.reason
    assert one.model.steps == plain.model.steps


def test_a_step_that_python_changes_is_found_out():
    class Annealed(Noisy):
        def __call__(self, stored, x):
            made = super().__call__(stored, x)
            self.model.weight.grad *= 1 + self.calls / 100
            return made

    one = Annealed()

    def frozen(step):
        made = step()
        kept = [p.grad.clone() for p in one.model.parameters()]

        def play():
            for p, value in zip(one.model.parameters(), kept, strict=True):
                p.grad = value

        return made, play

    found = recording(one, one.model, frozen)
    losses(found, one.model, batches(2))
    assert "other gradients" in found.reason


@pytest.mark.parametrize("name", ["gaussian", "iwae", "gmm"])
def test_training_by_recorded_steps_is_training(name, monkeypatch):
    monkeypatch.setattr(Harness, "_on_gpu", True)
    monkeypatch.setattr("vaebench.training.harness.Recording", recording)
    changes = {"plugin": name, "epochs": 2, "critic": "patchgan", "clip_norm": 1.0, "ema": 0.9}
    done = []
    for replay in (False, True):
        made = build(cell(**changes), catalogue().variant(name), digits())
        trained = fit(made, lambda row, validated: None, replay=replay)
        assert trained.remarks == ()
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trained.history]
        done.append((rows, trained.decoder_passes, made.model.state_dict()))
    (rows, passes, weights), (again, more, others) = done
    assert rows == again
    assert passes == more
    assert all(torch.equal(weights[key], others[key]) for key in weights)


@pytest.mark.parametrize(
    "chance",
    [lambda: torch.randint(2, ()).item(), lambda: random.randrange(2), lambda: np.random.choice(2)],
    ids=["torch", "random", "numpy"],
)
def test_a_step_whose_course_is_drawn_on_the_cpu_is_not_recorded(chance):
    """Played again, it would take the same course each time."""

    def step(stored, x):
        for parameter in weight:
            parameter.grad = torch.zeros(1)
        list(weight)[chance()].grad += 1
        return {}, 0

    weight = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(2)])
    found = Recording(step, weight, lambda one: (one(), lambda: None), without_chance)
    for _ in range(3):
        found(torch.zeros(2), Items(torch.zeros(2)), 1.0)
    assert "random numbers on the CPU" in found.reason
    with without_chance():
        torch.rand(3, generator=torch.Generator())
