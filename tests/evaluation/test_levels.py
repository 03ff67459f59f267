"""What the first levels say: exact where levels are linear and Gaussian, and told in the record."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from tests.cells import cell, digits
from vaebench import Chain, Gaussian, Posterior, Variant
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.levels import first_level, levels
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Unavailable
from vaebench.training.build import build

A = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]])
X = torch.tensor([1.0, -1.0, 2.0])
NOISE = 0.25


def normal(loc, scale):
    return Independent(Normal(loc, scale), 1)


def prior():
    top = normal(torch.zeros(2), torch.ones(2))
    return Chain(
        {"z2": (2, lambda: top), "z1": (2, lambda z2: normal(z2 @ A.T, torch.tensor(0.5).sqrt()))}
    )


def exact():
    """The posterior of x = X: z2 given x, and z1 given z2 and x, neither with independent parts."""
    eye = torch.eye(2)
    mixed = W @ A
    of_x = 0.5 * W @ W.T + NOISE * torch.eye(3)
    precision = eye + mixed.T @ of_x.inverse() @ mixed
    top = MultivariateNormal(
        precision.inverse() @ mixed.T @ of_x.inverse() @ X, precision.inverse()
    )
    cov = (2 * eye + W.T @ W / NOISE).inverse()

    def low(z2):
        return MultivariateNormal((2 * z2 @ A.T + W.T @ X / NOISE) @ cov.T, cov)

    return Chain({"z2": (2, lambda: top.expand((1,))), "z1": (2, low)}, (1,)), top, cov, low


class Known(nn.Module):
    """A model whose levels are linear and Gaussian, in the place of a VAE."""

    posterior = observation = None

    def encode(self, items):
        return exact()[0]

    def log_likelihood(self, z, items):
        square = (X - z[..., 2:] @ W.T).square().sum(-1)
        return -(square / NOISE + 3 * math.log(2 * math.pi * NOISE)) / 2


class Stub(Subject):
    """A subject of that model."""

    rows, seed = 10**6, 0
    q, p = exact()[0], prior()

    def __init__(self, items):
        self.model, self.items_, self._made = Known(), items, {}

    @property
    def items(self):
        return self.items_

    @property
    def x(self):
        return self.items_.x

    def prior(self, items):
        return prior()


def test_rates_and_distortions_are_those_of_the_closed_form(monkeypatch):
    from vaebench.evaluation.metrics import levels as module
    from vaebench.models.items import Items

    monkeypatch.setattr(module, "DRAWS", 40_000)
    monkeypatch.setattr(module, "PASSES", 40_000)
    found = levels(Stub(Items(X[None])))
    assert found.blocks == ["z2", "z1"] and found.draws == 40_000
    rates = found.rates[:, 0].tolist()
    assert rates == pytest.approx([0.448266539, 1.535603158], abs=0.03)
    _, top, _, _ = exact()
    nothing = A @ A.T + 0.5 * torch.eye(2)
    mean = A @ top.mean
    spread = A @ top.covariance_matrix @ A.T + 0.5 * torch.eye(2)
    joint = _posterior_of_z1()
    truths = [
        _lost(torch.zeros(2), nothing),
        _lost(mean, spread),
        _lost(joint.mean, joint.covariance_matrix),
    ]
    lost = found.distortions[:, 0]
    for value, truth in zip(lost.tolist(), truths, strict=True):
        assert value == pytest.approx(truth, rel=0.03)
    assert sum(rates) + truths[2] == pytest.approx(11.919124640, abs=0.03)


def _posterior_of_z1():
    of_z1 = (A @ A.T + 0.5 * torch.eye(2)).inverse()
    cov = (of_z1 + W.T @ W / NOISE).inverse()
    return MultivariateNormal(cov @ W.T @ X / NOISE, cov)


def _lost(mean, covariance):
    """-E[log p(x|z1)] for z1 of these moments."""
    square = (X - W @ mean).square().sum() + (W @ covariance @ W.T).trace()
    return float((square / NOISE + 3 * math.log(2 * math.pi * NOISE)) / 2)


class Two(Posterior):
    """Two levels."""

    def __init__(self, features, context):
        super().__init__(features, context)
        self.top, self.low = Gaussian(1, context), Gaussian(features - 1, context + 1)
        self.under = Gaussian(features - 1, 1)

    def forward(self, h):
        def low(z):
            return self.low(torch.cat([h.expand(*z.shape[:-1], -1), z], -1))

        return Chain({"a": (1, lambda: self.top(h)), "b/c": (2, low)}, h.shape[:1])

    def prior(self):
        return Chain({"a": (1, self.top.prior), "b/c": (2, self.under)})


def subject_of(variant):
    torch.manual_seed(0)
    made = build(cell(), variant, digits())
    model = made.model.eval().requires_grad_(False)
    return Subject(model, variant, digits(), 0, "bernoulli", "digits")


def test_levels_are_columns_and_a_curve_that_ends_in_the_terms_of_the_elbo():
    subject = subject_of(Variant("two", Two))
    found = evaluate(subject, select(["kl", "levels"]), {}, lambda done: None).records
    assert set(found) == {"kl", "kl@a", "distortion_first_level"}  # "b/c" is no name of a column
    part, whole = found["kl@a"], found["kl"]
    assert part["title"].endswith("of a") and (part["role"], part["place"]) == (None, None)
    assert part["value"] == pytest.approx(whole["detail"]["per_block"]["a"]) != whole["value"]
    assert part["se"] > 0 and part["unit"] == whole["unit"]
    curve = found["distortion_first_level"]["detail"]["levels"]
    assert curve["blocks"] == ["a", "b/c"]
    assert curve["distortion"][1] == pytest.approx(found["distortion_first_level"]["value"])
    assert curve["rate"][0] == 0 and curve["rate"][2] == pytest.approx(whole["value"], rel=0.05)
    terms = subject.terms
    assert curve["distortion"][2] == pytest.approx(-terms.log_px.mean().item(), rel=0.01)


def test_without_levels_there_is_no_curve_and_the_reason():
    with pytest.raises(Unavailable, match="not made of several levels"):
        first_level(subject_of(Variant("gaussian", Gaussian)))


def test_bits_a_dimension_are_nats_by_the_number_of_values():
    made = build(cell(likelihood="categorical", binarise="none"), Variant("g", Gaussian), digits())
    model = made.model.eval().requires_grad_(False)
    subject = Subject(model, made.variant, digits(), 0, "categorical", "digits")
    found = evaluate(subject, select(["elbo", "bits_per_dimension_elbo"]), {}, lambda done: None)
    nats, bits = found.records["elbo"], found.records["bits_per_dimension_elbo"]
    for what, sign in (("value", -1), ("se", 1)):
        assert bits[what] == pytest.approx(sign * nats[what] / (64 * math.log(2)))
    each = found.per_image
    assert each["bits_per_dimension_elbo"].mean().item() == pytest.approx(bits["value"])
    binary = subject_of(Variant("gaussian", Gaussian))
    record = evaluate(binary, select(["bits"]), {}, lambda done: None).records
    assert "not observed as exact levels" in record["bits_per_dimension_elbo"]["reason"]
