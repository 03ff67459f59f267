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
    value, error, whole, _ = marginal_kl_per_dimension(q, prior(1), draws=2000)
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
    found = marginal_kl_per_dimension(q, prior(15), draws=400)
    assert abs(found.values.sum().item()) < 2 * found.error < 1.5
    moments = moment_kl(q, prior(15))
    assert abs(moments.value) < 3 * moments.se < 0.1


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
    found = moment_kl(q, product(shift, width))
    assert found.value + found.bias == pytest.approx(expected.item(), rel=1e-9)
    drawn = moment_kl(opaque(q), product(shift, width), samples=400)
    assert drawn.value + drawn.bias == pytest.approx(expected.item(), rel=0.02)
    assert drawn.bias == pytest.approx(found.bias, rel=0.05)


def test_moment_kl_wants_a_gaussian_prior():
    q = product(torch.randn(10, 2), torch.ones(10, 2))
    assert moment_kl(q, prior(2, Laplace)) is None
    assert moment_kl(q, MultivariateNormal(torch.zeros(2), torch.eye(2))) is None
    point = moment_kl(product(torch.zeros(10, 1), torch.ones(10, 1)), prior(1))
    assert point == pytest.approx((0, 0, 0))


def test_codes_without_full_rank_have_no_moment_kl():
    q = product(torch.randn(10, 1).expand(10, 2), torch.full((10, 2), 1e-20))
    assert moment_kl(q, prior(2)).value == math.inf


def channel(images, dimension, scale, seed):
    """Posteriors whose aggregate over the population is the standard Gaussian."""
    torch.manual_seed(seed)
    loc = math.sqrt(1 - scale**2) * torch.randn(images, dimension)
    return product(loc, torch.full((images, dimension), scale))


CHANNELS = [(400, 8, 0.7), (400, 8, 0.5), (400, 32, 0.9), (400, 32, 0.7), (3000, 8, 0.5)]


@pytest.mark.parametrize(("images", "dimension", "scale"), CHANNELS)
def test_an_aggregate_that_is_the_prior_is_at_no_distance_from_it(images, dimension, scale):
    """The truth is 0 and the information -D log s: within the error, or said to be unknown."""
    q, p = channel(images, dimension, scale, 0), prior(dimension)
    joint, margins = information(q, p, draws=400), marginal_kl_per_dimension(q, p, draws=400)
    truth = -dimension * math.log(scale)
    if joint.saturated:
        assert joint.marginal_kl_se > 0.5 and joint.mutual_information < truth + 0.3
    else:
        assert abs(joint.marginal_kl) < 3 * joint.marginal_kl_se + 1e-3
        assert abs(joint.mutual_information - truth) < 3 * joint.mutual_information_se
    assert abs(margins.values.sum()) < 3 * margins.error < 0.3
    assert joint.saturated == ((images, dimension, scale) in CHANNELS[1::2])


def test_the_information_of_separate_codes_is_known():
    """Codes 0 to 9 with variance .04, each of 200 images: quadrature gives 2.271616807 nats."""
    torch.manual_seed(0)
    loc = torch.arange(10.0).repeat(200)[:, None]
    found = information(product(loc, torch.full_like(loc, 0.2)), prior(1), draws=2000)
    assert abs(found.mutual_information - 2.271616807) < 4 * found.mutual_information_se < 0.1


@pytest.mark.parametrize("scale", [1e-3, 0.7, 0.9])
def test_moments_of_few_images_have_no_bias(scale):
    """Truth 0: the mean over 60 sets of 200 images; without noise the bias is D (D + 3) / 4N."""
    sets = [moment_kl(channel(200, 8, scale, seed), prior(8)) for seed in range(60)]
    values = torch.tensor([one.value for one in sets])
    bias = sum(one.bias for one in sets) / len(sets)
    assert abs(values.mean()) < 0.1 * bias + 4 * values.std() / math.sqrt(60)
    assert values.std() < 1.5 * sum(one.se for one in sets) / len(sets)
    if scale < 0.01:
        assert bias == pytest.approx(8 * 11 / 800, rel=0.1)


def test_the_error_of_moments_is_that_of_repeated_sets():
    def shifted(seed):
        q = channel(300, 3, 0.5, seed)
        return product(1.5 * q.mean + 0.5, q.stddev)

    sets = [moment_kl(shifted(seed), prior(3)) for seed in range(100)]
    spread = torch.tensor([one.value for one in sets]).std().item()
    assert spread == pytest.approx(sum(one.se for one in sets) / 100, rel=0.25)
    variance = 1.5**2 * 0.75 + 0.25
    truth = 1.5 * (variance + 0.25 - 1 - math.log(variance))
    error = 4 * spread / 10
    assert sum(one.value for one in sets) / 100 == pytest.approx(truth, abs=error)
