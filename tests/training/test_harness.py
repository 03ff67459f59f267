import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch.utils.data import DataLoader

from tests.cells import cell, digits
from vaebench import Draw, Gaussian, Posterior, Rival, Variant, elbo, iwae
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit
from vaebench.training.harness import Diverged, Harness
from vaebench.training.schedules import SCHEDULES

CPU = torch.device("cpu")
GAUSSIAN = Variant("gaussian", Gaussian)


class Wide(Posterior):
    """A posterior with more parameters than the Gaussian's, drawn from the same generator."""

    def __init__(self, features, context):
        super().__init__(features, context)
        self.inner = Gaussian(features, context)
        self.unused = torch.nn.Linear(context, 50)

    def forward(self, h):
        return self.inner(h)


def train(variant=GAUSSIAN, **changes):
    one = cell(**changes)
    made = build(one, variant, digits())
    model, critic = made.model, made.critic
    done = fit(made, lambda row, validated: None)
    return model, critic, done.history, done.epoch


def test_every_variant_starts_from_the_same_weights():
    one = cell(critic="patchgan")
    made = build(one, GAUSSIAN, digits())
    first, first_critic = made.model, made.critic
    torch.rand(1000)
    made = build(one, Variant("wide", Wide, samples=7), digits())
    second, second_critic = made.model, made.critic
    for part in ("encoder", "decoder"):
        a, b = getattr(first, part).state_dict(), getattr(second, part).state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)
    a, b = first_critic.state_dict(), second_critic.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    other = build(replace(one, seed=1), GAUSSIAN, digits()).model
    assert not torch.equal(first.decoder.layers[0].weight, other.decoder.layers[0].weight)


def test_training_repeats_bit_for_bit():
    first, *_ = train(critic="patchgan", backbone="resnetv2", width=4)
    torch.rand(17)
    second, *_ = train(critic="patchgan", backbone="resnetv2", width=4)
    a, b = first.state_dict(), second.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_validation_items_are_there_once_and_not_longer_than_training(monkeypatch):
    held_out = []
    storages = set()

    def loader(dataset, **options):
        held_out.append(dataset)
        storages.update(some.x.untyped_storage().data_ptr() for some in dataset)
        assert sum(map(len, dataset)) == len(digits().validation)
        return DataLoader(dataset, **options)

    monkeypatch.setattr("vaebench.training.fit.DataLoader", loader)
    train(epochs=1)
    assert len(storages) == 1 and held_out == [[]]


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(epochs=1)
    assert torch.equal(torch.rand(2), expected)


def test_the_bound_rises_and_the_history_adds_up():
    _, _, history, epoch = train(epochs=6)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_objective"] > history[0]["train_objective"] + 5
    assert epoch == 1 + max(range(6), key=lambda i: history[i]["valid_objective"])
    for row in history:
        assert row["valid_elbo"] == pytest.approx(row["valid_log_px"] - row["valid_kl"], abs=1e-3)
        assert row["valid_objective"] == pytest.approx(row["valid_elbo"], abs=1e-3)


def test_the_critic_learns_beside_the_model():
    one = cell(critic="patchgan")
    before = build(one, GAUSSIAN, digits()).critic
    _, critic, history, _ = train(critic="patchgan", epochs=3)
    assert not torch.equal(before.layers[0].bias, critic.layers[0].bias)
    assert {"train_critic", "train_decoder_against_critic"} <= history[0].keys()
    assert history[-1]["train_critic"] < 2 * math.log(2)


def test_the_critic_changes_the_decoder():
    with_critic, *_ = train(critic="patchgan", critic_weight=5.0)
    without, *_ = train(critic="none")
    assert not torch.equal(with_critic.decoder.layers[0].weight, without.decoder.layers[0].weight)


def test_a_critic_of_no_weight_changes_nothing_in_the_model():
    with_critic, *_ = train(critic="patchgan", critic_weight=0.0)
    without, *_ = train(critic="none")
    a, b = with_critic.state_dict(), without.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


class Guess(Rival):
    """Guesses the code, and draws random numbers for it."""

    betas = (0.3, 0.9)

    def __init__(self, features, weight: float = 1.0):
        super().__init__()
        self.weight = weight
        self.centre = torch.nn.Parameter(torch.zeros(features))
        self.grads = []

    def loss(self, draw):
        self.grads.append(draw.z.requires_grad or draw.log_px.requires_grad)
        away = draw.one() - self.centre + 0.1 * torch.randn(3)
        return away.square().sum(-1)

    def term(self, draw):
        assert not self.centre.requires_grad and draw.h.shape[0] == len(draw.one())
        return self.weight * (draw.one() - self.centre).square().sum(-1) * torch.rand(()).exp()


def rivalled(weight=1.0, variant="guess", objective=elbo, **changes):
    made = build(
        cell(**changes),
        Variant(variant, Gaussian, objective, rival=partial(Guess, weight=weight)),
        digits(),
    )
    return made, fit(made, lambda row, validated: None)


def test_a_rival_learns_beside_the_model_and_changes_it():
    made, done = rivalled(critic="none")
    assert (made.rival.centre != 0).all() and made.rival.centre.requires_grad
    assert not any(made.rival.grads) and len(made.rival.grads) == 2 * (1197 // 128)
    assert {"train_rival", "train_against_rival"} <= done.history[0].keys()
    plain, *_ = train(critic="none")
    moved = {
        k: not torch.equal(v, plain.state_dict()[k]) for k, v in made.model.state_dict().items()
    }
    assert all(moved[f"posterior.{name}"] for name in made.model.posterior.state_dict())
    assert made.rival.state_dict().keys() == {"centre"}


def test_a_rival_of_no_weight_changes_nothing_whatever_it_draws():
    made, done = rivalled(0.0, critic="patchgan", kl_warmup=1)
    plain, _, history, _ = train(critic="patchgan", kl_warmup=1)
    a, b = made.model.state_dict(), plain.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert done.history[-1]["valid_objective"] == history[-1]["valid_objective"]


def test_the_rivals_optimiser_has_its_own_betas():
    made, _ = rivalled(epochs=1)
    harness = Harness(made.model, made.variant, made.critic, made.cell, rival=made.rival)
    _, second = harness.configure_optimizers()
    assert second.param_groups[0]["betas"] == (0.3, 0.9)
    assert second.param_groups[0]["params"] == [made.rival.centre]


def test_penalties_are_subtracted_and_logged():
    kl = Variant(
        "kl", Gaussian, lambda draw: draw.mean(draw.log_px), penalties={"rate": lambda d: d.kl}
    )
    _, _, history, _ = train(kl)
    _, _, reference, _ = train(GAUSSIAN)
    assert history[-1]["valid_elbo"] == pytest.approx(reference[-1]["valid_elbo"], abs=1e-3)
    assert history[-1]["train_rate"] > 0


def test_the_kl_weight_is_warmed_up():
    seen = []

    def spy(draw: Draw) -> torch.Tensor:
        seen.append(draw.kl_weight)
        return elbo(draw)

    _, _, _, epoch = train(Variant("spy", Gaussian, spy), epochs=3, kl_warmup=1)
    in_training = [w for w in seen if w < 1]
    assert in_training == sorted(in_training)
    assert in_training[0] == 0
    assert len(in_training) == 1197 // 128
    assert epoch > 1


@pytest.mark.parametrize("when", [0, 5])
def test_a_loss_that_is_no_number_ends_the_training(when):
    calls = []

    def failing(draw: Draw) -> torch.Tensor:
        calls.append(1)
        return elbo(draw) * (math.nan if len(calls) > when else 1)

    with pytest.raises(Diverged, match=rf"nan at step {when + 1} of epoch 1"):
        train(Variant("nan", Gaussian, failing))


def test_an_objective_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match="one value for each image"):
        train(Variant("flat", Gaussian, lambda draw: elbo(draw).mean()))


def test_several_draws_tighten_the_bound():
    _, _, history, _ = train(Variant("iwae", Gaussian, iwae, samples=5), epochs=3)
    assert history[-1]["valid_objective"] > history[-1]["valid_elbo"]


def test_the_last_weights_on_request():
    _, _, _, epoch = train(evaluate="last", epochs=3)
    assert epoch == 3


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_start_at_one_and_never_rise(name):
    values = [SCHEDULES[name](i / 1000) for i in range(1001)]
    assert values[0] == pytest.approx(1)
    assert all(0 <= b <= a + 1e-12 for a, b in pairwise(values))


def test_the_papers_schedule_has_eight_stages_of_growing_length():
    passes = [round(SCHEDULES["burda"]((i + 0.5) / 3280), 9) for i in range(3280)]
    lengths = [passes.count(round(10 ** (-i / 7), 9)) for i in range(8)]
    assert lengths == [3**i for i in range(8)]


@pytest.mark.parametrize("plugin", ["gaussian", "gmm"])
def test_the_critic_sees_what_the_likelihood_was_computed_from(plugin):
    variant = catalogue().variant(plugin)
    model = build(cell(plugin=plugin), variant, digits()).model
    x = torch.rand(5, 1, 8, 8).round()
    draw = model.draw(x, 3)
    assert draw.outputs is not None
    torch.testing.assert_close(draw.outputs, model.decode(draw.z))
    torch.testing.assert_close(model.likelihood.log_prob(draw.outputs, x), draw.log_px)


@pytest.mark.parametrize(("backbone", "width", "channels"), [("resnetv2", 4, 8), ("mlp", 200, 64)])
def test_the_critic_is_no_wider_than_the_papers(backbone, width, channels):
    one = cell(backbone=backbone, width=width, critic="patchgan")
    critic = build(one, catalogue().variant("gaussian"), digits()).critic
    assert critic.layers[0].out_channels == channels
