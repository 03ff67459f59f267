"""A stranger's metric costs its own number alone."""

import math
import os
import random
import re

import pytest
import torch

from tests.evaluation.test_metrics import subject
from vaebench import Measurement, Metric, Unavailable
from vaebench.errors import UserError
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.plugged import Plugged, _alike, guarded, plugged
from vaebench.evaluation.metrics.select import METRICS, select
from vaebench.registry.catalogue import Catalogue, Plugin


@pytest.fixture(scope="module")
def gaussian():
    return subject()


def declare(name="mine", **more):
    declared = {
        "name": name,
        "title": "Mine",
        "unit": "nats",
        "description": "A number.",
        "compute": lambda subject: Measurement(1.0, 1),
    }
    return Metric(**declared | more)


def measured(gaussian, compute):
    metric = declare(compute=guarded("mine", compute))
    return evaluate(gaussian, [metric], {}, lambda done: None)


def ends(subject):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (lambda subject: 1 / 0, r"ZeroDivisionError: division by zero \(test_plugged.py, line \d+"),
        (lambda subject: 3.0, "returned 3.0, which is not a Measurement"),
        (ends, "SystemExit: 3"),
        (lambda subject: Measurement(math.nan, 1), "its value is nan"),
        (lambda subject: Measurement(torch.tensor([1.0, 2.0]), 1), "Error"),
        (lambda subject: Measurement(1.0, 1, -1.0), "its standard error is -1"),
        (lambda subject: Measurement(1.0, 1, detail={"x": torch.ones(2)}), "Tensor"),
        (lambda subject: Measurement(1.0, 1, depends={"x": "y" * 2**20}), "more than 1 MiB"),
        (lambda subject: Measurement(1.0, 1, depends=[1]), "not dicts"),
        (lambda subject: Measurement(1.0, 1, per_image=torch.ones(401)), "first N of 400 images"),
        (lambda subject: Measurement(1.0, 1, per_image=torch.ones(4, 1)), "first N of 400 images"),
    ],
)
def test_what_fails_or_is_no_number_is_a_reason(gaussian, compute, reason):
    found = measured(gaussian, compute)
    record = found.records["mine"]
    assert record["value"] is None and not found.per_image
    assert re.search(reason, record["reason"]), record["reason"]


def test_a_reason_or_an_error_for_the_user_is_shown_as_it_is(gaussian):
    def without(subject):
        raise Unavailable("there is no moon")

    def refused(subject):
        raise UserError("Take another extractor.")

    assert measured(gaussian, without).records["mine"]["reason"] == "there is no moon"
    assert measured(gaussian, refused).records["mine"]["reason"] == "Take another extractor."


def test_a_sound_one_is_kept_with_what_it_depends_on(gaussian):
    def compute(subject):
        gaps = (subject.reconstructions - subject.pictures).mean(dim=(1, 2, 3)).abs()
        return Measurement.mean(gaps, detail={"range": (0, 1)}, draws=1)

    found = measured(gaussian, compute)
    record = found.records["mine"]
    assert record["value"] == pytest.approx(found.per_image["mine"].mean().item())
    assert record["n"] == 400 and record["depends"] == {"draws": 1}
    assert record["detail"] == {"range": [0, 1]} and record["metric"] == "mine"
    assert found.per_image["mine"].dtype == torch.float64


def test_noise_is_seeded_and_what_the_process_shares_is_put_back(gaussian):
    def compute(subject):
        torch.set_default_dtype(torch.float64)
        os.environ["VAEBENCH_TEST"] = "1"
        random.seed(3)
        subject.model.train().requires_grad_(True)
        return Measurement(torch.rand(()), 1)

    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate()
    first = measured(gaussian, compute).records["mine"]["value"]
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert torch.get_default_dtype() == torch.float32 and "VAEBENCH_TEST" not in os.environ
    assert not gaussian.model.training
    assert not any(parameter.requires_grad for parameter in gaussian.model.parameters())
    torch.manual_seed(2)
    assert measured(gaussian, compute).records["mine"]["value"] == first


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("elbo", "elbo", True),
        ("fid_mine", "fid_{extractor}", True),
        ("iwae_7", "iwae_{k}", True),
        ("iwae_best", "iwae_{k}", False),
        ("fidelity", "fid_{extractor}", False),
    ],
)
def test_names_that_may_be_one_column_are_told(one, other, alike):
    assert _alike(one, other) == _alike(other, one) == alike


def test_a_name_that_is_taken_gets_the_packages_in_front():
    facts = {"metrics": {"elbo": {"group": ""}, "moon": {"group": "sky"}}}
    plugin = Plugin("p", "package", "package 1.0", "abc", facts)
    found = plugged(Catalogue({"p": plugin}, {}), [metric.name for metric in METRICS])
    assert [(each.name, each.group) for each in found] == [("package.elbo", "p"), ("moon", "sky")]
    assert isinstance(found[0], Plugged) and "package:elbo" in found[0].names


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": "no name"}, "must be of the form"),
        ({"name": "{samples}"}, "must be of the form"),
        ({"name": "mine_se"}, "not end in _se"),
        ({"reference": "{"}, "must be of the form"),
        ({"better": "more"}, "says better 'more'; it is one of None, 'higher', 'lower'"),
        ({"role": "king"}, "says role 'king'"),
        ({"needs": {"rain"}}, "says needs 'rain'"),
        ({"compute": 3}, "has no function"),
    ],
)
def test_a_declaration_that_cannot_be_shown_is_refused(wrong, reason):
    with pytest.raises(UserError, match=reason):
        declare(**wrong)


def test_a_metric_needs_what_it_says(gaussian):
    metric = declare(needs={"density", "likelihood"})
    assert hash(metric) and metric.needs == frozenset({"density", "likelihood"})
    point = evaluate(subject("autoencoder"), [metric], {}, lambda done: None)
    assert "without a density" in point.records["mine"]["reason"]


def test_the_default_is_of_our_own_metrics():
    assert all(metric in METRICS for metric in select(["default"]))
