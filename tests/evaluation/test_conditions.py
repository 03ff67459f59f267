"""Labels that a model infers or was asked for, and log p(x|y) of the condition alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal
from vaebench_plugins.acn import tour

from tests.cells import cell
from vaebench import Seen
from vaebench.data.dataset import subset
from vaebench.data.images import Request
from vaebench.evaluation.metrics.conditions import label_accuracy, label_fidelity, regression
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Unavailable
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build


def made(plugin, dataset, latent=3, **more):
    images = load(dataset, Request(Path("nowhere")))
    images = replace(images, test=subset(images.test, slice(60)))
    variant = catalogue().variant(plugin)
    asked = cell(plugin=plugin, dataset=dataset, latent=latent, data=images.hash())
    model = build(asked, variant, images).model.eval().requires_grad_(False)
    return Subject(model, variant, images, 0, "bernoulli", "digits", ais_images=3, **more)


class Knowing(nn.Module):
    """A posterior's `classify` that knows the classes of some images, and guesses 0 of others."""

    def __init__(self, columns, known):
        super().__init__()
        self.columns, self.known = columns, known

    def classify(self, h):
        guess = torch.where(torch.arange(len(h)) < self.known, self.columns, 0 * self.columns)
        return nn.functional.one_hot(guess, 9).double().log_softmax(-1)


def test_accuracy_is_the_share_of_classes_that_are_found():
    one = made("m2", "digits[labels=50,without=3]", latent=12)
    columns = one.images.test.labels - (one.images.test.labels > 3).long()
    for known in (0, 17, 60):
        one.model.posterior = Knowing(columns, known)
        found = label_accuracy(one)
        expected = (columns[:known] == columns[:known]).sum() + (columns[known:] == 0).sum()
        assert found.value == pytest.approx(expected.item() / 60)
        assert found.detail["error_percent"] == pytest.approx(100 * (1 - found.value))
        assert found.depends["labels"] == 50


def test_accuracy_is_of_posteriors_that_infer_a_class():
    assert 0 <= label_accuracy(made("m2", "digits[labels=50]", latent=12)).value <= 1
    with pytest.raises(Unavailable, match="infers no class"):
        label_accuracy(made("gaussian", "digits[labels=50]"))
    with pytest.raises(Unavailable, match="sees no labels"):
        label_accuracy(made("gaussian", "digits"))


def test_fidelity_is_what_the_classifier_sees():
    one = made("gaussian", "digits[given=label]")
    real = one.pictures
    one.__dict__["samples"] = real
    found = label_fidelity(one)
    assert found.value == pytest.approx(found.detail["real_images"]) and found.value > 0.9
    wrong = made("gaussian", "digits[given=label]")
    wrong.__dict__["samples"] = real.roll(1, 0)
    asked = wrong.images.test.labels
    chance = (asked == asked.roll(1)).double().mean().item()
    assert label_fidelity(wrong).value == pytest.approx(chance, abs=0.1)


def test_fidelity_needs_a_label_and_a_classifier_that_knows_it():
    with pytest.raises(Unavailable, match="no label is asked for"):
        label_fidelity(made("gaussian", "digits[given=left]"))
    one = made("gaussian", "digits[given=label]")
    one.extractor_name = "thumbnail"
    with pytest.raises(Unavailable, match="knows no classes"):
        label_fidelity(one)
    shuffled = made("gaussian", "digits[given=label]")
    test = replace(shuffled.images.test, labels=(shuffled.images.test.labels + 1) % 10)
    shuffled.images = replace(shuffled.images, test=test)
    with pytest.raises(Unavailable, match="not trained for these classes"):
        label_fidelity(shuffled)


@pytest.mark.parametrize("plugin", ["gaussian", "cvae"])
def test_the_condition_alone_is_decoded_at_the_priors_mean(plugin):
    one = made(plugin, "digits[given=label]")
    found = regression(one)
    z = one.model.prior(one.items).mean.expand(60, -1)
    logits = one.model.decoder(torch.cat([z, one.images.test.given], -1))
    law = Independent(torch.distributions.Bernoulli(logits=logits), 3)
    torch.testing.assert_close(found.per_image, law.log_prob(one.x).double(), rtol=1e-5, atol=1e-3)
    # Untrained latents say nothing.
    assert "not shown to be higher" in found.warning
    better = found.per_image + 5
    one.__dict__["terms"] = one.terms._replace(elbo=better)
    assert regression(one).warning is None


def test_the_condition_alone_needs_one():
    with pytest.raises(Unavailable, match="gives nothing"):
        regression(made("gaussian", "digits"))


def test_a_tour_goes_to_the_nearest_that_is_left():
    codes = torch.tensor([[0.0], [5.0], [1.0], [-1.5], [4.0]])
    assert tour(codes).tolist() == [0, 2, 3, 4, 1]


def test_the_ordered_description_length_is_of_neighbours():
    one = made("acn", "digits")
    metric = catalogue().thing("metrics", "description_length")
    posterior = one.model.posterior
    posterior.train().pair(one.h, Seen(index=torch.arange(60)))
    posterior.eval()
    found = metric.compute(one)
    order = tour(one.q.mean)
    before, here = order[2], order[3]
    z = Normal(one.q.mean[here], one.q.stddev[here])
    c = posterior.near(one.q.mean[before])
    rate = torch.distributions.kl_divergence(z, Normal(c.mean, c.stddev)).sum()
    assert found.per_image[here] == pytest.approx((rate - one.terms.log_px[here]).item(), rel=1e-5)
    with pytest.raises(Unavailable, match="other images"):
        metric.compute(made("gaussian", "digits"))
