"""Numbers of sets against a source of exact log p, and against codes that say all or nothing."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from vaebench_plugins.statistician import Statistician

from tests.cells import cell, renamed
from vaebench.data.images import Request, Split
from vaebench.data.linear import CODE, NOISE, A, W, log_prob
from vaebench.data.sets import Sets
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.sets import TASKS, tasks, without_last
from vaebench.evaluation.metrics.subject import Subject
from vaebench.evaluation.set_pictures import laid, set_pictures
from vaebench.models.elements import EachElement, Elements, dimensions
from vaebench.models.likelihoods import Bernoulli, Gaussian
from vaebench.models.metric import Unavailable
from vaebench.models.observation import Pixels
from vaebench.models.posterior import Gaussian as Diagonal
from vaebench.models.posterior import positive
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build
from vaebench.training.fit import fit

SIDE = 4


def subject(model, variant, data, **more):
    effort = {"iw_samples": 8, "iw_images": 8, "ais_images": 12, "ais_budget": 500} | more
    model = model.eval().requires_grad_(False)
    return Subject(model, variant, data, 0, "pixels", "thumbnail", **effort)


def records(found, names):
    return evaluate(found, select(names), {}, lambda done: None).records


def exact_model(elements=5):
    """The source `linear` itself, with a posterior that has learnt nothing."""
    torch.manual_seed(0)
    encoder, decoder = nn.Flatten(), nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 1, 4)))
    encoder.features = 4
    posterior = Statistician(dimensions(4, elements), 4 * elements, elements=elements)
    head = posterior.element.head.head
    with torch.no_grad():
        decoder[0].weight.copy_(torch.cat([torch.zeros(4, 2), W.float()], 1))
        decoder[0].bias.zero_()
        head.weight.zero_()
        head.weight[:2, :2] = A.float()
        head.bias.copy_(torch.zeros(4))
        scale = torch.tensor([0.0])
        for _ in range(60):
            scale = scale + (math.sqrt(CODE) - positive(scale))
        head.bias[2:] = scale
    pixels = Pixels(decoder, Gaussian(2, scale=str(math.sqrt(NOISE))))
    model = VAE(EachElement(encoder, False), posterior, Elements(pixels, elements, 2, 2))
    return subject(model, Variant("s", Statistician), load("linear[items=20]", Request(None)))


@pytest.mark.slow
def test_a_model_that_is_the_source_has_no_regret_and_predicts_as_it_does():
    found = exact_model()
    one = records(found, ["regret", "predictive_ais", "log_likelihood_ais"])
    regret, predictive = one["regret"], one["predictive_ais"]
    x = found.images.test.pixels[:12]
    error = 4 * regret["depends"]["sampler_se"] + 0.01
    assert error < 0.2 and abs(regret["value"]) < error and regret["unit"] == "nats/set"
    truth = (log_prob(x) - log_prob(x[:, :4])).mean().item()
    assert abs(predictive["value"] - truth) < 4 * predictive["depends"]["sampler_se"] + 0.01
    assert predictive["depends"]["given"] == 4 and predictive["unit"] == "nats/element"


def test_the_last_elements_are_left_out_of_sets_as_they_were_observed():
    found = exact_model()
    short = without_last(found)
    assert torch.equal(short.items.x, found.items.x[:, :4]) and short.p is not found.p
    assert list(set_pictures(found)) == [("texts.json", b"{}")]


class Known(nn.Module):
    """Features that are one-hot classes, written in the first row of a picture."""

    features = 16

    def forward(self, x):
        return nn.functional.one_hot(x[:, 0].flatten(1).argmax(1), 16).float()


def few(informed=True, classes=8, sets=4, elements=3):
    """Sets whose pictures hold their class in one lit pixel, or anywhere."""
    torch.manual_seed(0)
    labels = torch.arange(classes).repeat(sets)
    lit = labels[:, None].expand(-1, elements)
    if not informed:
        lit = torch.randint(16, lit.shape)
    pixels = nn.functional.one_hot(lit, 16).reshape(-1, elements, 1, SIDE, SIDE).to(torch.uint8)
    split = Split(pixels, labels)
    data = Sets(split, split, split, levels=2)
    posterior = Diagonal(4, 16)
    decoder = nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, SIDE, SIDE)))
    with torch.no_grad():
        posterior.head.bias[4:] = -2
    model = VAE(
        EachElement(Known(), True),
        posterior,
        Elements(Pixels(decoder, Bernoulli(2)), elements, 4),
    )
    return subject(model, Variant("g", Diagonal), data)


def test_codes_that_know_the_class_tell_it_from_one_image():
    one = records(few(), ["few-shot"])
    for name in ("few_shot_1_5", "few_shot_5_5"):
        assert one[name]["value"] == 1 and one[name]["n"] == TASKS
    assert "and there are 8" in one["few_shot_1_20"]["reason"]


def test_codes_that_know_nothing_guess():
    one = records(few(informed=False), ["few_shot_1_5"])["few_shot_1_5"]
    # Images alike tie, which is a mistake: no more than a guess.
    assert 0.1 < one["value"] < 0.2 + 4 * one["se"]


def test_shown_images_and_those_to_tell_are_apart():
    labels = torch.arange(8).repeat_interleave(7)
    shown, told = tasks(labels, shots=5, ways=6)
    assert shown.shape == (TASKS, 6, 5) and told.shape == (TASKS, 6)
    assert (labels[shown] == labels[told][..., None]).all()
    assert (shown != told[..., None]).all()
    assert all(len(set(row)) == 6 for row in labels[told].tolist())
    assert torch.equal(told, tasks(labels, 5, 6)[1])
    with pytest.raises(Unavailable, match="9 ways need as many classes of 2"):
        tasks(labels, 1, 9)


def test_pictures_of_sets_stand_in_lines_with_gaps():
    pictures = torch.zeros(3, 5, 1, 2, 2)
    lines = laid(pictures, 11).reshape(-1, 11, 4).amax(-1)
    gap, held = [1.0], [0.0] * 5
    assert lines.tolist() == [[*held, *gap, *held], [*held, *gap * 6]]
    names = [name for name, _ in set_pictures(few())]
    assert names == ["samples.png", "given.png", "reconstructions.png"]


def of_digits(plugin, dataset, **more):
    one = replace(cell(plugin=plugin, dataset=dataset, latent=4), **more)
    data = load(dataset, Request(None))
    return build(replace(one, data=data.hash()), catalogue().variant(plugin), data)


def test_training_on_sets_of_one_is_training_on_the_images_to_the_bit():
    trained = []
    for dataset in ("digits", "digits[sets=1]"):
        made = of_digits("gaussian", dataset, epochs=1)
        fit(made, lambda row, validated: None)
        trained.append([value for _, value in sorted(_plain(made.model).items())])
    assert all(torch.equal(*pair) for pair in zip(*trained, strict=True))


def _plain(model):
    names = {"encoder.encoder.": "encoder.", "observation.part.": "observation."}
    return renamed(model.state_dict(), names)


def test_every_variant_learns_from_sets():
    needy = {"labels", "pictures", "parts"}
    for name in catalogue().names():
        if needy & set(catalogue().facts("variants", name)["needs"]):
            continue
        made = of_digits(name, "digits[sets=3]")
        x = made.images.train.pixels[:4].float() / 16
        with torch.random.fork_rng():
            torch.manual_seed(0)
            made_draw = made.model.draw(x.round(), made.variant.samples, paired=False)
            value = made.variant.objective(made_draw)
        assert value.shape == (4,) and value.isfinite().all(), name
        assert made_draw.log_px.shape[1:] == (4,)
