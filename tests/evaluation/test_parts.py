"""Numbers of items with several parts: of models that know classes or mix them up."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from vaebench.data import captions, digits
from vaebench.data.images import Request
from vaebench.data.observation import grey
from vaebench.data.views import viewed
from vaebench.evaluation.features.extractor import extractor
from vaebench.evaluation.functional.frechet import frechet_distance, moments
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.parts import codes_given, generated, pictured
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.likelihoods import Bernoulli
from vaebench.models.modalities import EachPart, Modalities
from vaebench.models.observation import Pixels
from vaebench.models.posterior import Posterior
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.lookup import load

COLUMNS = ["coherence_given", "coherence_joint", "latent_accuracy"]


class Classes(nn.Module):
    """The class of a digit as the shipped classifier tells it, one-hot."""

    features = 10

    def __init__(self):
        super().__init__()
        self.tells = [extractor("digits")]

    def forward(self, x):
        (tells,) = self.tells
        return nn.functional.one_hot(tells.logits(tells(x)).argmax(1), 10).float()


class Prototypes(nn.Module):
    """The clearest training digit of the largest dimension of z, or of one `turned` further."""

    def __init__(self, turned=0):
        super().__init__()
        train = digits.read(Request(None)).train
        pixels, tells = grey(train.pixels, 17), extractor("digits")
        clearest = pixels[tells.logits(tells(pixels)).argmax(0)]
        self.shown = nn.Parameter(clearest.roll(turned, 0), requires_grad=False)

    def forward(self, z):
        return self.shown[z.argmax(-1)].clamp(0.001, 0.999).logit()


class OneHot(Posterior):
    def __init__(self, features, context):
        super().__init__(features, context)

    def forward(self, h):
        return self.of_parts(h, range(h.shape[1] // 10))

    def of_parts(self, h, parts):
        found = torch.stack([h[:, 10 * m :][:, :10] for m in parts]).mean(0)
        return Independent(Normal(found, 0.001), 1)


class Whole(OneHot):
    def forward(self, h):
        return super().of_parts(h, [0])

    def of_parts(self, h, parts):
        return Posterior.of_parts(self, h, parts)


@pytest.fixture(scope="module")
def data():
    return viewed("it", digits.read(Request(None)), 2)


def subject(data, turned=0, posterior=OneHot):
    encoder = EachPart(data.layout, {name: Classes() for name in data.layout.names})
    parts = {
        name: Pixels(Prototypes(turned * m), Bernoulli(17))
        for m, name in enumerate(data.layout.names)
    }
    model = VAE(encoder, posterior(10, 20), Modalities(data.layout, parts)).eval()
    return Subject(model, Variant("it", posterior), data, 0, "pixels", "digits")


def records(found, names):
    return evaluate(found, select(names), {}, lambda done: None).records


def test_a_model_of_classes_is_as_coherent_as_its_encoder_is_right(data):
    found = subject(data)
    one = records(found, COLUMNS)
    whole, told = one["coherence_given"], one["coherence_given"]["detail"]["test items"]
    # What is generated shows what the encoder took the other part for.
    right = {
        name: (
            found.model.features(found.items)[:, 10 * m :][:, :10].argmax(1).cpu()
            == data.test.labels
        )
        .double()
        .mean()
        .item()
        for m, name in enumerate(data.layout.names)
    }
    assert min(right.values()) > 0.8 and min(told.values()) > 0.95
    assert one["coherence_given@view2"]["value"] == pytest.approx(right["view1"])
    assert one["coherence_given@view1"]["value"] == pytest.approx(right["view2"])
    assert whole["value"] == pytest.approx(sum(right.values()) / 2) and whole["se"] < 0.03
    assert whole["detail"]["given"]["view2"] == {"view1": pytest.approx(right["view1"])}
    assert one["coherence_joint"]["value"] == 1 and one["coherence_joint"]["warning"] is None
    assert min(one["coherence_joint"]["detail"]["classes"]) > 0
    # Probes see the classes that the encoder tells.
    for name, share in right.items():
        assert one[f"latent_accuracy@{name}"]["value"] == pytest.approx(share, abs=0.02)


def test_decoders_that_mix_up_classes_agree_in_none(data):
    one = records(subject(data, turned=1), COLUMNS)
    assert one["coherence_joint"]["value"] == 0
    assert one["coherence_given@view2"]["value"] < 0.03 < one["coherence_given@view1"]["value"]
    alone = [one[f"latent_accuracy@{name}"]["value"] for name in data.layout.names]
    assert one["latent_accuracy"]["value"] > max(alone)


def test_one_class_alone_is_coherent_and_warned_of(data):
    found = subject(data)
    for part in found.model.observation.parts.values():
        part.decoder.shown[:] = part.decoder.shown[3].clone()
    one = records(found, ["coherence_joint"])["coherence_joint"]
    assert one["value"] == 1 and "100% of the draws that agree are of one class" in one["warning"]


def test_a_posterior_of_whole_items_has_no_conditional_number(data):
    one = records(subject(data, posterior=Whole), COLUMNS)
    assert one["coherence_given"]["value"] is None
    assert "whole items alone" in one["coherence_given"]["reason"]
    assert one["latent_accuracy"]["value"] > 0.8 and "latent_accuracy@view1" not in one


def test_distances_are_those_of_each_picture(data):
    found = subject(data)
    one = records(found, ["fid_{extractor}", "rec_fid_{extractor}"])
    parts = found.once(pictured)
    digit = extractor("digits")
    for name, part in parts.items():
        features = digit(found.model.observation.mean(torch.zeros(1, 10))[name])
        assert features.shape == (1, 32)
        real = moments(digit(grey(data.parts[name].test.pixels, 17)))
        for column, made in (
            ("fid_digits", part.samples),
            ("rec_fid_digits", part.reconstructions),
        ):
            expected = frechet_distance(moments(digit(made)), real)
            assert one[f"{column}@{name}"]["value"] == pytest.approx(expected, rel=1e-6)
    values = [one[f"fid_digits@{name}"]["value"] for name in parts]
    assert one["fid_digits"]["value"] == pytest.approx(sum(values) / 2)
    assert values[0] != values[1]
    # What is decoded from one draw of codes stands in the same place of each part.
    assert torch.equal(parts["view1"].samples, parts["view2"].samples)


def test_parts_are_generated_from_one_part_alone(data):
    found = subject(data)
    z = codes_given(found, 1, 30)
    assert torch.equal(z.argmax(1), found.h[:30, 10:].argmax(1))
    made = generated(found, z)
    assert {name: x.shape for name, x in made.items()} == {
        name: (30, 1, 8, 8) for name in data.layout.names
    }


def test_where_nothing_tells_classes_the_reason_is_said(data):
    found = replace(subject(data), extractor_name="thumbnail")
    assert "thumbnail tells no classes" in records(found, COLUMNS)["coherence_joint"]["reason"]
    found = replace(subject(data), extractor_name="mnist")
    assert "pictures of 1×8×8" in records(found, COLUMNS)["coherence_given"]["reason"]
    one = subject(viewed("it", digits.read(Request(None)), 1))
    assert "no other part" in records(one, COLUMNS)["coherence_given"]["reason"]
    numbers = subject(data)
    numbers.images = load("linear[kind=parts,items=20]", Request(None))
    found = records(numbers, [*COLUMNS, "fid_{extractor}"])
    assert "no classes" in found["coherence_joint"]["reason"]
    assert "no part of the items is a picture" in found["fid_digits"]["reason"]


def test_captions_name_the_class_that_is_told():
    found = captions.read(Request(None), items=20)
    tokens = found.parts["caption"].test.tokens
    assert (found.named["caption"](tokens.long()) == found.test.labels).all()
