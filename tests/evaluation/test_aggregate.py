import math

import numpy
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import (
    AffineTransform,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from vaebench.evaluation.functional import aggregate
from vaebench.evaluation.functional.aggregate import (
    information,
    marginal_kl_per_dimension,
    moment_kl,
)


def product(loc, scale, family=Normal):
    return Independent(family(loc, scale), 1)


def prior(dimension, family=Normal):
    return product(torch.zeros(dimension), torch.ones(dimension), family)


def opaque(q):
    base = product(torch.zeros_like(q.mean), torch.ones_like(q.mean))
    return TransformedDistribution(base, AffineTransform(q.mean, q.stddev, event_dim=1))


@pytest.fixture
def mixture():
    """Four posteriors in one dimension, 500 images each, and KL(q(z) || p(z)) by quadrature."""
    loc, scale = torch.tensor([-2.0, -0.5, 0.5, 2.5]), torch.tensor([0.3, 0.2, 0.6, 0.4])

    def integrand(z):
        density = norm.pdf(z, loc, scale).mean()
        return density * (math.log(density) - norm.logpdf(z))

    truth = quad(integrand, -6, 6, points=loc.tolist(), limit=200)[0]
    return product(loc.repeat(500)[:, None], scale.repeat(500)[:, None]), truth


def test_both_terms_against_quadrature(mixture):
    torch.manual_seed(0)
    q, truth = mixture
    found = information(q, prior(1), draws=2000)
    rate = kl_divergence(q, prior(1)).mean().item()
    assert abs(found.marginal_kl - truth) < 4 * found.marginal_kl_se
    assert abs(found.mutual_information - (rate - truth)) < 4 * found.mutual_information_se
    assert found.marginal_kl_se < 0.1 and found.mutual_information_se < 0.05
    assert not found.saturated


def test_one_dimension_against_quadrature_and_the_joint(mixture):
    torch.manual_seed(0)
    q, truth = mixture
    value, error, whole = marginal_kl_per_dimension(q, prior(1), draws=2000)
    assert value.shape == error.shape == (1,) and whole == pytest.approx(error.item())
    assert abs(value - truth) < 4 * error

    torch.manual_seed(0)
    joint = information(q, prior(1), draws=2000)
    assert value.item() == pytest.approx(joint.marginal_kl, rel=1e-5)
    assert error.item() == pytest.approx(joint.marginal_kl_se, rel=1e-5)


def test_a_gaussian_channel_has_its_textbook_information():
    torch.manual_seed(0)
    scale = torch.tensor([0.3, 0.7])
    loc = (1 - scale.square()).sqrt() * torch.randn(2000, 2)
    found = information(product(loc, scale.expand(2000, 2)), prior(2), draws=2000)
    assert found.mutual_information == pytest.approx(-scale.log().sum().item(), abs=0.1)
    assert found.marginal_kl == pytest.approx(0, abs=0.05)


def test_chunks_do_not_matter(mixture, monkeypatch):
    q, _ = mixture
    results = []
    for room in (1 << 30, 5000):
        monkeypatch.setattr(aggregate, "ROOM", room)
        torch.manual_seed(0)
        results.append(information(q, prior(1), draws=50))
    assert results[0] == pytest.approx(results[1])


def test_saturation_is_flagged_and_its_stand_ins_are_right():
    torch.manual_seed(0)
    scale = torch.full((800, 15), 0.1)
    q = product(math.sqrt(1 - 0.01) * torch.randn(800, 15), scale)
    found = information(q, prior(15), draws=400)
    assert found.saturated
    assert found.mutual_information == pytest.approx(math.log(800), abs=1e-3)
    assert found.marginal_kl > 20, "the truth is 0"
    value, errors, error = marginal_kl_per_dimension(q, prior(15), draws=400)
    # The dimensions are independent here, so that their errors add up in quadrature.
    assert error == pytest.approx(errors.square().sum().sqrt().item(), rel=0.2)
    assert value.sum().item() == pytest.approx(0, abs=0.6)
    assert moment_kl(q, prior(15)) == pytest.approx(0, abs=0.15)


def test_a_point_mass_has_no_density():
    class Point(Normal):
        def log_prob(self, value):
            raise NotImplementedError

    q = product(torch.zeros(10, 2), torch.ones(10, 2), Point)
    assert information(q, prior(2)) is None
    assert marginal_kl_per_dimension(q, prior(2)) is None


def test_dimensions_are_unknown_where_nothing_factorises():
    q = opaque(product(torch.zeros(10, 2), torch.ones(10, 2)))
    assert marginal_kl_per_dimension(q, prior(2)) is None
    assert information(q, prior(2)) is not None


def test_moment_kl_is_that_of_full_gaussians():
    torch.manual_seed(0)
    loc, scale = torch.randn(300, 3, dtype=torch.float64), torch.rand(300, 3) + 0.1
    loc[:, 1] += loc[:, 0]
    q = product(loc, scale.double())
    cov = numpy.cov(loc.T, bias=True) + numpy.diag(scale.double().square().mean(0))
    aggregated = MultivariateNormal(loc.mean(0), torch.tensor(cov))
    shift, width = torch.tensor([0.1, 0.2, 0.3]).double(), torch.tensor([1.0, 2, 0.5]).double()
    expected = kl_divergence(aggregated, MultivariateNormal(shift, width.square().diag()))
    assert moment_kl(q, product(shift, width)) == pytest.approx(expected.item(), rel=1e-9)
    drawn = moment_kl(opaque(q), product(shift, width), samples=400)
    assert drawn == pytest.approx(expected.item(), rel=0.02)


def test_moment_kl_wants_a_gaussian_prior():
    q = product(torch.randn(10, 2), torch.ones(10, 2))
    assert moment_kl(q, prior(2, Laplace)) is None
    assert moment_kl(q, MultivariateNormal(torch.zeros(2), torch.eye(2))) is None
    assert moment_kl(product(torch.zeros(10, 1), torch.ones(10, 1)), prior(1)) == pytest.approx(0)
