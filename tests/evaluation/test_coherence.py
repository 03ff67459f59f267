"""Posteriors whose density is wrong are found out by their numbers."""

import re
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch.distributions import Independent, StudentT

from tests.cells import cell, digits
from vaebench import Posterior, Variant
from vaebench.evaluation.metrics.coherence import contradiction
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject, Terms
from vaebench.models.metric import Measurement
from vaebench.training.build import build

RESTING = ("elbo", "kl", "iwae_8", "inference_gap")


class Offset(StudentT):
    """A density that integrates to exp(offset) in each dimension."""

    offset = 0.0

    def log_prob(self, value):
        return super().log_prob(value) + self.offset


class Student(Posterior):
    offset: ClassVar[float] = 0.0
    scale: ClassVar[float] = 0.8

    def __init__(self, features, context):
        super().__init__(features, context)
        self.loc = torch.nn.Linear(context, features)

    def forward(self, h):
        student = Offset(30.0, 0.1 * self.loc(h), self.scale)
        student.offset = self.offset
        return Independent(student, 1)


def measure(offset, scale, *names):
    torch.manual_seed(0)
    kind = type("Kind", (Student,), {"offset": offset, "scale": scale})
    variant = Variant("mine", kind)
    model = build(cell(), variant, digits()).model
    subject = Subject(
        model=model.eval().requires_grad_(False),
        variant=variant,
        images=digits(),
        seed=0,
        observation="bernoulli",
        extractor_name="digits",
        ais_images=8,
        iw_samples=8,
        iw_images=50,
    )
    return evaluate(subject, select(names), {}, lambda done: None)


def test_a_right_density_keeps_its_numbers():
    found = measure(0.0, 0.8, "elbo", "kl", "iwae", "ais", "gaps").records
    assert all(found[name]["value"] is not None for name in RESTING)
    assert found["inference_gap"]["value"] > 0


def test_a_wrong_density_loses_them():
    found = measure(-1.5, 0.8, "elbo", "kl", "iwae")
    for name in RESTING[:3]:
        assert found.records[name]["value"] is None
        assert name not in found.per_image
        assert re.fullmatch(
            r"its KL to the prior is -\d\.\d\d nats, below zero, so that log q\(z\|x\) cannot be "
            "right; run `vaebench check mine`",
            found.records[name]["reason"],
        )
    assert measure(-1.5, 0.8, "distortion").records["distortion"]["value"] is not None


@pytest.mark.parametrize(
    ("above", "warning", "found"),
    [(0.5, None, True), (0.02, None, False), (-3.0, None, False), (0.5, "few chains", False)],
)
def test_an_elbo_above_the_likelihood_of_the_same_images(above, warning, found):
    """Eight images of forty; a standard error of .01 nats for each side."""
    truth = torch.linspace(-90, -70, 40, dtype=torch.float64)
    elbo = truth - 10
    elbo[:8] = truth[:8] + above
    one = torch.ones(40)
    ais = Measurement(
        truth[:8].mean().item(), 8, 1.0, {"sampler_se": 0.01}, truth[:8], warning=warning
    )
    subject = SimpleNamespace(
        terms=Terms(elbo, -one, one, 8 * 1e-4 * one, 5),
        variant=Variant("mine[a=1]", Student),
        made=lambda make: ais,
    )
    why = contradiction(subject)
    assert (why is not None) == found
    if why:
        assert why.startswith("its ELBO is 0.50 nats above log p(x) of the same images")
