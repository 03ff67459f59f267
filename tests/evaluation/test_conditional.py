"""What parts of an item say of another one, against a source whose densities are all exact."""

import math

import pytest
import torch
from torch import nn
from vaebench_plugins.mmvm import Separate
from vaebench_plugins.mmvm import vaebench_variants as mmvm
from vaebench_plugins.modalities import Product

from tests.cells import digits
from vaebench.data.images import Request
from vaebench.data.linear_parts import Model
from vaebench.data.modalities import aligned
from vaebench.evaluation.metrics.conditional import conditional, without
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.likelihoods import Gaussian
from vaebench.models.metric import Unavailable
from vaebench.models.modalities import EachPart, Modalities
from vaebench.models.observation import Pixels
from vaebench.models.posterior import Gaussian as Diagonal
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.lookup import load

COUNT = 12


def source(parts=5, shared=5, posterior=None, variant=None):
    """The source `linear[kind=parts]` itself, with a posterior that has learnt nothing."""
    torch.manual_seed(0)
    data = load(f"linear[items=20,kind=parts,parts={parts},shared={shared}]", Request(None))
    truth, encoders, seen = Model(parts, shared, 0, 0), {}, {}
    for name, weight in truth.weights.items():
        size = len(weight)
        encoders[name] = nn.Flatten()
        encoders[name].features = size
        decoder = nn.Sequential(nn.Linear(shared, size), nn.Unflatten(1, (1, 1, size)))
        with torch.no_grad():
            decoder[0].weight.copy_(weight)
            decoder[0].bias.copy_(truth.offsets[name])
        seen[name] = Pixels(decoder, Gaussian(2, scale="1"))
    encoder, observation = EachPart(data.layout, encoders), Modalities(data.layout, seen)
    made = posterior or Product(shared, encoder.features, parts=encoder.sizes)
    model = VAE(encoder, made, observation).eval().requires_grad_(False)
    effort = {"iw_samples": 8, "iw_images": 8, "ais_images": COUNT, "ais_budget": 1000}
    variant = variant or Variant("poe", Product)
    return Subject(model, variant, data, 0, "numbers", "thumbnail", **effort), truth


def records(found, names):
    return evaluate(found, select(names), {}, lambda done: None).records


@pytest.mark.slow
def test_conditionals_are_the_joint_less_the_marginal_of_the_source():
    found, truth = source()
    one = records(found, ["conditional_ais", "regret"])
    x, names = found.images.test.stored[:COUNT], found.images.layout.names
    exact = {
        name: (truth.log_prob(x) - truth.log_prob(x, [n for n in names if n != name])).mean().item()
        for name in names
    }
    for name in names:
        part = one[f"conditional_ais@{name}"]
        assert part["depends"]["sampler_se"] < 0.3 and part["n"] == COUNT
        assert abs(part["value"] - exact[name]) < 3 * part["depends"]["sampler_se"] + 0.01
    mean = one["conditional_ais"]
    assert mean["unit"] == "nats/part"
    assert abs(mean["value"] - sum(exact.values()) / 5) < 3 * mean["depends"]["sampler_se"] + 0.01
    regret = one["regret"]
    assert regret["value"] > -3 * regret["depends"]["sampler_se"] - 0.01
    assert regret["unit"] == "nats/item"


def test_two_parts_say_of_each_other_what_the_source_does():
    found, truth = source(parts=2, shared=1)
    one, x = conditional(found), found.images.test.stored[:COUNT]
    names, each = found.images.layout.names, []
    for name, other in zip(names, reversed(names), strict=True):
        exact = truth.log_prob(x) - truth.log_prob(x, [other])
        each.append(exact)
        assert (one.parts[name].per_image - exact).abs().mean() < 0.2
    gap = one.per_image - torch.stack(each).mean(0)
    assert abs(gap.mean()) < 4 * one.depends["sampler_se"] + 0.01
    assert math.isclose(one.value, sum(part.value for part in one.parts.values()) / 2)
    assert one.depends["sampler_se"] < 0.1


def test_a_part_that_is_left_out_is_neither_scored_nor_seen():
    found, _ = source(parts=3, shared=2)
    rest, names = without(found, "part2"), found.images.layout.names
    x, z = found.items[:4], torch.randn(5, 4, 2)
    each = found.model.observation.each(found.model.observation.outputs(z, x.x), x.x)
    torch.testing.assert_close(rest.model.log_likelihood(z, x), each[[0, 2]].sum(0))
    q = found.model.posterior.of_parts(found.model.features(x), [0, 2])
    assert torch.equal(rest.model.encode(x).mean, q.mean) and names[1] == "part2"
    assert rest.model.prior().event_shape == (2,) and found.model.observation.only == names
    plain, _ = source(parts=3, shared=2, posterior=Diagonal(2, found.model.encoder.features))
    whole, other = plain.model.encode(x), without(plain, "part2").model.encode(x)
    assert torch.equal(whole.mean, other.mean)


def test_where_it_is_not_to_be_had_it_says_why():
    found, _ = source(parts=1, shared=2)
    with pytest.raises(Unavailable, match="one part"):
        conditional(found)
    found.images = digits()
    with pytest.raises(Unavailable, match="data set holds images"):
        conditional(found)
    with pytest.raises(TypeError, match="no parts"):
        VAE(nn.Flatten(), Diagonal(2, 2), Pixels(nn.Flatten(), Gaussian(2))).of_parts([0])
    (variant,) = mmvm()
    one, _ = source(parts=2, shared=2)
    apart = Separate(1, one.model.encoder.features, parts=one.model.encoder.sizes)
    found, _ = source(parts=2, shared=2, posterior=apart, variant=variant)
    record = records(found, ["conditional_ais"])["conditional_ais"]
    assert record["value"] is None and record["reason"]
    assert aligned({"one": digits()}).layout.names == ("one",)
