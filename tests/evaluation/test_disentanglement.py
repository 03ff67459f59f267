"""Scores of codes that are the factors, that know nothing of them, and that mix two of them."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

import vaebench
from tests.cells import cell, digits
from vaebench.data.dataset import subset
from vaebench.data.images import Images, Split
from vaebench.evaluation.functional.disentanglement import (
    Trees,
    dependence,
    gaps,
    linear_accuracies,
    majority_votes,
    squared_correlations,
    trees,
)
from vaebench.evaluation.metrics.disentanglement import followed
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build

VALUES = (3, 5, 8)
SCORES = ("disentanglement", "completeness", "informativeness")


def grid(times=6):
    """Three independent, uniform factors, each combination equally often, in random order."""
    every = np.indices(VALUES).reshape(3, -1).T.repeat(times, 0)
    return np.random.default_rng(0).permutation(every)


def noise(count, dimensions, seed=1):
    return np.random.default_rng(seed).normal(size=(count, dimensions))


FACTORS = grid()
#: The factors in another order and of other signs and scales, a constant, and a little noise.
EXACT = np.c_[-3.0 * FACTORS[:, [2, 0, 1]], np.ones(len(FACTORS)), 0.01 * noise(len(FACTORS), 1)]
MIXED = FACTORS - FACTORS.mean(0)
MIXED[:, :2] = MIXED[:, :2] @ np.array([[1, 1], [1, -1]]) / math.sqrt(2)


def symmetric():
    """Two factors of one distribution, mixed half and half, beside one that is not mixed."""
    factors = np.indices((5, 5, 4)).reshape(3, -1).T.repeat(10, 0)
    codes = factors - factors.mean(0)
    codes[:, :2] = np.c_[codes[:, 0] + codes[:, 1], codes[:, 0] - codes[:, 1]] / math.sqrt(2)
    return codes, factors


def test_factors_have_a_gap_of_one_and_mixed_ones_of_zero():
    assert gaps(dependence(EXACT[:, :4], FACTORS).share) == pytest.approx(1, abs=1e-9)
    assert gaps(squared_correlations(EXACT[:, :4], FACTORS)) == pytest.approx(1, abs=1e-9)
    codes, factors = symmetric()
    assert gaps(dependence(codes, factors).share) == pytest.approx([0, 0, 1], abs=1e-9)
    found = squared_correlations(codes, factors)
    assert found == pytest.approx(np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]), abs=1e-9)
    assert gaps(found) == pytest.approx([0, 0, 1], abs=1e-9)


def test_noise_knows_nothing():
    codes, factors = noise(10_000, 10), grid(84)[:10_000]
    assert np.abs(gaps(dependence(codes, factors).share)).max() < 0.01
    # A squared correlation is chi-squared over N with one degree of freedom.
    assert squared_correlations(codes, factors).max() < 20 / 10_000


def test_information_is_that_of_a_table_of_counts():
    code = np.repeat([0.0, 0.0, 1.0, 1.0], [4, 1, 2, 3])[:, None]
    factor = np.repeat([0, 1, 0, 1], [4, 1, 2, 3])[:, None]
    joint = np.array([[4, 1], [2, 3]]) / 10
    exact = (joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))).sum()
    found = dependence(np.c_[code, -code], factor)
    assert found.information == pytest.approx(np.full((2, 1), exact))
    assert found.entropy == pytest.approx([-0.6 * math.log(0.6) - 0.4 * math.log(0.4)])


def test_so_many_images_are_biased_by_chance_as_is_told():
    codes, factors = np.random.default_rng(0).random((2000, 40)), grid(20)[:2000]
    found = dependence(codes, factors)
    # Twice N informations are chi-squared of (bins - 1)(values - 1) degrees of freedom.
    freedom = 19 * (np.array(VALUES) - 1)
    assert found.bias == pytest.approx(np.tile(freedom / 4000, (40, 1)))
    errors = np.sqrt(2 * freedom / 40) / 4000
    assert (np.abs((found.information - found.bias).mean(0)) < 4 * errors).all()
    assert found.followed.max() < 0.02 < found.share.max()


@pytest.mark.parametrize(
    ("values", "lost"), [(3, 0), (20, 0), (32, 24 / 32 * math.log(2)), (40, math.log(2))]
)
def test_twenty_bins_are_coarser_than_many_values(values, lost):
    """Values in one bin cannot be told apart: 24 of 32 share theirs with another, 40 of 40 do."""
    factor = np.arange(values)[:, None]
    share = dependence(factor.astype(float), factor).share.item()
    assert share == pytest.approx(1 - lost / math.log(values))


def test_linear_machines_tell_two_values_apart():
    factors = np.indices((2, 2)).reshape(2, -1).T.repeat(100, 0)
    codes = 3.0 * factors[:, ::-1] - 1
    found = linear_accuracies(codes, factors, codes, factors)
    assert found == pytest.approx(np.array([[0.5, 1], [1, 0.5]]))
    assert gaps(found) == pytest.approx(0.5)
    assert linear_accuracies(np.zeros_like(codes), factors, codes, factors).max() == 0


def test_importances_become_scores():
    assert Trees(np.eye(3), np.ones(3)).disentanglement == pytest.approx(1)
    assert Trees(np.eye(3), np.ones(3)).completeness == pytest.approx(1)
    alike = Trees(np.full((4, 3), 0.25), np.array([0.2, 0.3, 0.7]))
    assert alike.disentanglement == pytest.approx(0) and alike.completeness == pytest.approx(0)
    assert alike.informativeness == pytest.approx(0.4)
    shared = Trees(np.array([[1, 0], [0, 0.5], [0, 0.5], [0, 0]]), np.ones(2))
    assert shared.disentanglement == pytest.approx(1)
    assert shared.completeness == pytest.approx((1 + 1 - math.log(2) / math.log(4)) / 2)
    mixed = Trees(np.array([[0.75, 0], [0.25, 1]]), np.ones(2))
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / math.log(2)
    assert mixed.disentanglement == pytest.approx((0.75 + 1.25 * (1 - entropy)) / 2)


def test_trees_find_factors_and_nothing_in_noise():
    half, factors = len(FACTORS) // 2, FACTORS[:, :2]
    found = trees(EXACT[:half], factors[:half], EXACT[half:], factors[half:])
    assert found.disentanglement > 0.99 and found.completeness > 0.99
    assert found.informativeness == 1
    codes = noise(len(FACTORS), 5)
    blind = trees(codes[:half], factors[:half], codes[half:], factors[half:])
    assert blind.disentanglement < 0.05 and blind.completeness < 0.05
    chance = np.array([1 / n for n in VALUES[:2]])
    assert (np.abs(blind.accuracy - chance) < 4 * np.sqrt(chance * (1 - chance) / half)).all()


def test_votes_are_right_for_factors_and_guesses_for_noise():
    assert majority_votes(EXACT, FACTORS) == 1
    assert majority_votes(0.04 * EXACT[:, 4:], FACTORS) == 0
    codes = noise(10_000, 10)
    factors = grid(84)[:10_000]
    assert majority_votes(codes, factors) == pytest.approx(1 / 3, abs=0.05)
    assert majority_votes(codes, factors) == majority_votes(codes, factors)


def test_a_dimension_that_follows_nothing_costs_half_of_the_other_votes():
    """Where the second factor is shared, both dimensions are equally often the steadiest."""
    values = np.linspace(-1, 1, 50)
    factors = np.indices((50, 2)).reshape(2, -1).T.repeat(50, 0)
    first = values[factors[:, 0]]
    second = values[np.random.default_rng(0).permutation(factors[:, 0])]
    found = majority_votes(np.c_[first, second], factors)
    assert found == pytest.approx(0.75, abs=0.03)


def subject(images: Images) -> Subject:
    variant = catalogue().variant("gaussian")
    model = build(cell(latent=4), variant, images).model.eval().requires_grad_(False)
    return Subject(model, variant, images, 0, "bernoulli", "digits")


def measured(images: Images, *names: str) -> dict:
    return evaluate(subject(images), select(names), {}, lambda done: None).records


def test_data_sets_with_factors_have_scores_and_others_a_reason():
    images = vaebench.read("sprites[items=1000]")
    found = measured(images, "mig", "sap", "factor_vae")
    for record in found.values():
        assert 0 <= record["value"] <= 1 and record["n"] == 1000
    assert [*found["mig"]["detail"]["factors"]] == ["shape", "size", "angle", "x", "y"]
    others = measured(digits(), "disentanglement").values()
    assert len(others) == 7
    assert all(one["value"] is None and "not known" in one["reason"] for one in others)
    costly = {m.name for m in select(["disentanglement"]) if m.costly}
    assert costly == {"sap_svm", *(f"dci_{s}" for s in SCORES)}


@pytest.mark.slow
def test_scores_that_learn_to_predict():
    whole = vaebench.read("sprites[items=600]")
    parts = (whole.train, whole.validation, subset(whole.test, slice(300)))
    few = (Split(part.pixels, None, part.factors[:, :2]) for part in parts)
    found = measured(Images(*few, 2, factors=("shape", "size")), "disentanglement")
    importance = np.array(found["dci_completeness"]["detail"]["importance"])
    assert importance.shape == (4, 2) and importance.sum(0) == pytest.approx(1)
    assert found["dci_informativeness"]["n"] == 300
    assert all(
        0 <= found[name]["value"] <= 1 for name in ("sap_svm", *(f"dci_{s}" for s in SCORES))
    )


class Reading(torch.nn.Module):
    """An encoder whose features say where a sprite is, and how large."""

    features = 3

    def forward(self, x):
        area = x.sum((1, 2, 3))
        place = [(x.sum((1, axis)) * torch.arange(32.0)).sum(1) / area for axis in (2, 3)]
        return torch.stack([*place, area], 1)


class Passing(vaebench.Posterior):
    """A posterior around the encoder's features, the second one drowned in the third."""

    def forward(self, h):
        x, y, area = h.unbind(1)
        mean = torch.stack([x, torch.zeros_like(x), area / 40, y + x], 1)
        return Independent(Normal(mean, 1.0), 1)


def test_traversed_dimensions_are_labelled_by_the_factor_that_they_follow():
    found = subject(vaebench.read("sprites[items=3000]"))
    found.model.encoder, found.model.posterior = Reading(), Passing(4, 3)
    labels = followed(found, [2, 0, 1, 3])
    assert [label.rpartition(" ")[0].rpartition(" ")[0] for label in labels[:2]] == ["size", "x"]
    assert int(labels[1].split()[1]) > 70
    assert labels[2] == "no factor" and labels[3][0] in "xy"
    assert followed(subject(digits()), [0]) == []


def test_factors_that_do_not_vary_are_left_out():
    images = vaebench.read("sprites[items=300]")
    one = images.train.factors[:, 0] == 1
    train = subset(images.train, one)
    found = measured(Images(train, train, train, 2, factors=images.factors), "mig")["mig"]
    assert [*found["detail"]["factors"]] == ["size", "angle", "x", "y"]
    same = Split(train.pixels[:4], None, 0 * train.factors[:4])
    alone = measured(Images(same, same, same, 2, factors=images.factors), "mig")["mig"]
    assert alone["reason"] == "no factor varies"
