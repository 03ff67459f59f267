import math

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Cauchy,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from vaebench.evaluation.functional.posteriors import (
    active_units,
    collapsed,
    kl_per_dimension,
    posterior_means,
    posterior_variances,
)


def product(loc, scale, family=Normal):
    return Independent(family(loc, scale), 1)


def prior(dimension, family=Normal):
    return product(torch.zeros(dimension), torch.ones(dimension), family)


def opaque(loc, scale):
    """The same normal distribution, without moments and without known factors."""
    base = product(torch.zeros_like(loc), torch.ones_like(loc))
    return TransformedDistribution(base, AffineTransform(loc, scale, event_dim=1))


def test_kl_per_dimension_sums_to_the_total():
    q = product(torch.randn(5, 3), torch.rand(5, 3) + 0.1)
    kl = kl_per_dimension(q, prior(3))
    assert kl.shape == (5, 3)
    torch.testing.assert_close(kl.sum(1), kl_divergence(q, prior(3)))


def test_kl_per_dimension_by_hand():
    q = product(torch.tensor([[0.0, 2.0]]), torch.tensor([[math.exp(-1), 1.0]]))
    expected = torch.tensor([[0.5 * (math.exp(-2) - 1) + 1, 2.0]])
    torch.testing.assert_close(kl_per_dimension(q, prior(2)), expected)


def test_kl_per_dimension_is_unknown_where_nothing_factorises():
    q = product(torch.zeros(4, 2), torch.ones(4, 2))
    full = MultivariateNormal(torch.zeros(4, 2), torch.eye(2))
    assert kl_per_dimension(full, prior(2)) is None
    assert kl_per_dimension(opaque(torch.zeros(4, 2), torch.ones(4, 2)), prior(2)) is None
    assert kl_per_dimension(q, MultivariateNormal(torch.zeros(2), torch.eye(2))) is None
    # Neither is there one for factors without a registered formula.
    assert kl_per_dimension(q, product(torch.zeros(2), torch.ones(2), Cauchy)) is None
    assert kl_per_dimension(
        product(torch.zeros(4, 2), torch.ones(4, 2), Laplace), prior(2)
    ).shape == (4, 2)


def test_active_units_are_those_whose_means_move():
    generator = torch.Generator().manual_seed(0)
    sds = torch.tensor([1.0, 0.5, 0.12, 0.08, 0.0])  # variances 1, .25, .0144, .0064, 0
    means = 3 + sds * torch.randn(4000, 5, generator=generator)
    count, variances = active_units(means)
    assert count == 3
    torch.testing.assert_close(variances, sds.square(), rtol=0.1, atol=1e-9)
    assert active_units(means, threshold=0.1)[0] == 2


def test_means_from_draws_do_not_make_units_active():
    torch.manual_seed(0)
    loc = torch.zeros(3000, 3)
    loc[:, 0] = torch.randn(3000)
    exact, none = posterior_means(product(loc, torch.ones_like(loc)))
    assert torch.equal(exact, loc) and not none.any()

    means, errors = posterior_means(opaque(loc, torch.ones_like(loc)), samples=32)
    assert active_units(means)[0] == 3, "1/32 is more than the threshold"
    count, variances = active_units(means, errors)
    assert count == 1
    assert variances.tolist() == pytest.approx([1, 0, 0], abs=0.15)
    assert abs(variances[1:]).max() < 5 * math.sqrt(2 / 3000) / 32
    standard = (means - loc) / errors.sqrt()
    assert standard.square().mean().item() == pytest.approx(31 / 29, rel=0.1)  # Student's t


def test_variances_are_exact_or_from_draws():
    torch.manual_seed(0)
    loc, scale = torch.zeros(400, 2), torch.tensor([0.5, 2.0]).expand(400, 2)
    assert torch.equal(posterior_variances(product(loc, scale)), scale.square())
    drawn = posterior_variances(opaque(loc, scale))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.25, 4.0]), rtol=0.05, atol=0)


def test_collapse_is_judged_for_each_dimension_over_images():
    kl = torch.zeros(100, 4)
    kl[:1, 1] = 1.0  # one image in a hundred: still collapsed at δ = 0.01
    kl[:2, 2] = 1.0
    kl[:, 3] = 0.5
    assert collapsed(kl) == 0.5
    assert collapsed(kl, delta=0.05) == 0.75
    assert collapsed(kl, epsilon=0.6, delta=0.05) == 1.0
    assert collapsed(kl, delta=0.0) == 0.25
