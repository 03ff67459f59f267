"""A training with other settings is torch's own, step by step."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from tests.cells import cell, digits
from vaebench import Gaussian, Variant, elbo
from vaebench.compute.random import seeded
from vaebench.config.cell import SETTINGS
from vaebench.data.batches import Batches, observed
from vaebench.errors import UserError
from vaebench.training.build import build
from vaebench.training.fit import fit
from vaebench.training.kl_schedules import kl_schedule
from vaebench.training.optimisers import OPTIMISERS, model_optimiser, usual_decay

CPU = torch.device("cpu")
LR = 2e-3
#: An epoch of 18 steps.
ONE = {"epochs": 1, "batch_size": 64}


class Counting(Gaussian):
    """A Gaussian posterior that counts in a buffer how often it was asked in training."""

    def __init__(self, features, context):
        super().__init__(features, context)
        self.register_buffer("asked", torch.zeros((), dtype=torch.long))

    def forward(self, h):
        self.asked += int(self.training)
        return super().forward(h)


VARIANT = Variant("counting", Counting)


def trained(**changes):
    """The model that a training of an epoch leaves, and what it tells."""
    made = build(cell(**ONE | {"evaluate": "last"} | changes), VARIANT, digits())
    told = []
    done = fit(made, lambda row, validated: told.append(validated))
    return made.model, done.history, told


def by_hand(optimiser, *, clip=None, decay=None, weight=lambda step: 1.0, free=0.0):
    """Weights after each of the same steps, and the norms of the gradients.

    With a decay there is the list of their moving averages, by a loop, in its place.
    """
    one = cell(**ONE)
    model = build(one, VARIANT, digits()).model
    stepper = optimiser(model.parameters())
    batches = Batches(digits().train, model.likelihood, one.batch_size, one.seed, False, CPU)
    norms, states = [], []
    with seeded(one.seed, "training noise"):
        for step, (_, x) in enumerate(batches):
            draw = model.draw(x, 1)._replace(kl_weight=weight(step), free_bits=free)
            stepper.zero_grad()
            (-elbo(draw).mean()).backward()
            if clip is not None:
                norms.append(clip_grad_norm_(model.parameters(), clip).item())
            stepper.step()
            states.append({k: v.detach().clone() for k, v in model.state_dict().items()})
    if decay is not None:
        mean = states[0]
        averages = [mean]
        for state in states[1:]:
            mean = {
                k: decay * mean[k] + (1 - decay) * v if v.is_floating_point() else v
                for k, v in state.items()
            }
            averages.append(mean)
        states = averages
    return states, norms


def same(model, state, **tolerance):
    found = model.state_dict()
    assert found.keys() == state.keys()
    for name, value in state.items():
        torch.testing.assert_close(found[name], value, **tolerance)


EXACT = {"rtol": 0, "atol": 0}


@pytest.mark.parametrize(
    ("changes", "optimiser"),
    [
        ({}, lambda p: torch.optim.Adam(p, LR, fused=True)),
        ({"optimiser": "adamw", "weight_decay": 0.3},
         lambda p: torch.optim.AdamW(p, LR, weight_decay=0.3, fused=True)),
        ({"weight_decay": 0.3}, lambda p: torch.optim.Adam(p, LR, weight_decay=0.3, fused=True)),
        ({"optimiser": "adam[amsgrad=true,eps=1e-3]"},
         lambda p: torch.optim.Adam(p, LR, eps=1e-3, amsgrad=True, fused=True)),
        ({"optimiser": "radam"}, lambda p: torch.optim.RAdam(p, LR)),
        ({"optimiser": "nadam"}, lambda p: torch.optim.NAdam(p, LR)),
        ({"optimiser": "adamax"}, lambda p: torch.optim.Adamax(p, LR)),
        ({"optimiser": "rmsprop[alpha=0.9]"}, lambda p: torch.optim.RMSprop(p, LR, alpha=0.9)),
        ({"optimiser": "sgd[momentum=0.9,nesterov=true]"},
         lambda p: torch.optim.SGD(p, LR, momentum=0.9, nesterov=True, fused=True)),
    ],
)  # fmt: skip
def test_optimisers_are_torchs(changes, optimiser):
    model, history, _ = trained(**changes)
    states, _ = by_hand(optimiser)
    same(model, states[-1], **EXACT)
    assert "train_clipped" not in history[0]


def adam(parameters):
    return torch.optim.Adam(parameters, LR, fused=True)


def test_gradients_are_clipped_by_their_norm_and_the_share_is_told():
    model, history, _ = trained(clip_norm=4.2)
    states, norms = by_hand(adam, clip=4.2)
    same(model, states[-1], **EXACT)
    share = sum(norm > 4.2 for norm in norms) / 18
    assert 0 < share < 1
    assert history[0]["train_clipped"] == pytest.approx(share)


def test_the_critic_keeps_its_adam_and_is_not_clipped():
    plain, other = (
        build(cell(critic="patchgan", critic_weight=0.0, **changes), VARIANT, digits())
        for changes in ({}, {"optimiser": "sgd", "weight_decay": 0.5, "clip_norm": 1e-9})
    )
    optimisers = []
    for made in (plain, other):
        fit(replace(made, cell=replace(made.cell, lr=1e-12)), lambda row, validated: None)
        optimisers.append(made.critic.state_dict())
    for name, value in optimisers[0].items():
        torch.testing.assert_close(value, optimisers[1][name])


def test_averaged_weights_are_validated_and_kept():
    model, history, told = trained(ema=0.8)
    averages, _ = by_hand(adam, decay=0.8)
    same(model, averages[-1], rtol=1e-5, atol=1e-7)
    assert model.posterior.asked == len(averages)
    same(told[-1], model.state_dict(), **EXACT)

    x = observed(digits().validation, model.likelihood, "validation")
    parts = x.tensor_split(-(-len(x) // 64))
    with torch.no_grad(), seeded(0, "validation"):
        value = [elbo(model.eval().draw(part, 1)).mean() for part in parts]
    assert history[0]["valid_objective"] == pytest.approx(torch.stack(value).mean().item(), 1e-5)


def test_an_average_changes_nothing_in_training():
    _, history, _ = trained(ema=0.8, epochs=2)
    _, plain, _ = trained(epochs=2)
    assert [r["train_objective"] for r in history] == [r["train_objective"] for r in plain]
    assert history[-1]["valid_elbo"] != plain[-1]["valid_elbo"]


def test_the_best_epoch_is_that_of_the_average():
    made = build(cell(ema=0.8), VARIANT, digits())
    kept = []

    def report(row, validated):
        kept.append({k: v.clone() for k, v in validated.state_dict().items()})

    done = fit(made, report)
    same(made.model, kept[done.epoch - 1], **EXACT)


def test_a_model_that_cannot_be_copied_has_no_average():
    made = build(cell(ema=0.8), VARIANT, digits())
    made.model.posterior.left_over = made.model.posterior.head.weight * 2
    with pytest.raises(UserError, match="parameters or buffers, or leave out --ema"):
        fit(made, lambda row, validated: None)


def test_kl_schedules_and_free_bits_are_those_of_the_step():
    model, _, _ = trained(kl_schedule="sigmoid", kl_warmup=1, free_bits=0.2)
    schedule = kl_schedule("sigmoid", 1, 1)
    states, _ = by_hand(adam, weight=lambda step: schedule(step / 18), free=0.2)
    same(model, states[-1], **EXACT)


def test_the_decay_by_default_is_torchs():
    assert {name: usual_decay(name) for name in OPTIMISERS} == dict.fromkeys(OPTIMISERS, 0.0) | {
        "adamw": 0.01
    }


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("adm", "Did you mean 'adam'"),
        ("sgd[moment=0.9]", "Did you mean 'momentum'"),
        ("sgd[momentum=x]", "type float"),
        ("adam[maximize=true]", "maximize"),
        ("adam[weight_decay=0.1]", "weight_decay"),
    ],
)
def test_optimisers_and_options_that_do_not_exist_are_refused(spelled, message):
    with pytest.raises(UserError, match=message):
        model_optimiser(spelled, [torch.zeros(1, requires_grad=True)], 1e-3, 0.0, fused=False)


def test_every_optimiser_is_named_in_the_help_and_can_be_fused_or_not():
    (setting,) = (s for s in SETTINGS if s.name == "optimiser")
    for (name, kind), fused in product(OPTIMISERS.items(), (True, False)):
        assert name in setting.help
        made = model_optimiser(name, [torch.zeros(1, requires_grad=True)], 1e-3, 0.1, fused=fused)
        assert type(made) is kind and made.defaults["weight_decay"] == 0.1
        assert bool(made.defaults.get("fused")) == (fused and "fused" in made.defaults)
