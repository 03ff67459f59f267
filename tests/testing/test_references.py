"""What the kit measures against needs no trust: its references and integrals are exact."""

import math

import pytest
import torch
from scipy import stats
from torch.distributions import Beta, Independent, Laplace, Normal, Uniform

from vaebench.testing.laws.density import law_of
from vaebench.testing.quadrature import integral
from vaebench.testing.references import axial, fitted, space_of, student

HALF = torch.tensor([0.5], dtype=torch.float64)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pilot(count=4000, size=3):
    return torch.randn(count, size, dtype=torch.float64) @ torch.randn(size, size).double() + 2


def test_student_is_scipys():
    draws = pilot()
    law = student(draws)
    covariance = torch.cov(draws.T, correction=0)
    expected = stats.multivariate_t(
        draws.mean(0).numpy(), (covariance * 3 / 5).numpy(), df=5, allow_singular=False
    )
    z = law.sample(200)
    torch.testing.assert_close(
        law.log_prob(z), torch.from_numpy(expected.logpdf(z.numpy())), atol=1e-3, rtol=1e-3
    )


def test_student_draws_have_their_moments():
    draws = pilot(200_000)
    z = student(draws).sample(400_000)
    assert (z.mean(0) - draws.mean(0)).abs().max() < 0.03
    assert (torch.cov(z.T) - torch.cov(draws.T)).abs().max() < 0.05 * torch.cov(draws.T).max()


@pytest.mark.parametrize("size", [2, 3, 5, 20])
def test_axial_is_normalised_and_drawn_from(size):
    """Mean of 1/density over draws is the sphere's area; that of the density of uniform, 1/area."""
    direction = torch.zeros(size, dtype=torch.float64)
    direction[0] = 1.0
    draws = torch.nn.functional.normalize(torch.randn(4000, size).double() + direction, dim=-1)
    law, area = axial(draws), 2 * math.pi ** (size / 2) / math.gamma(size / 2)
    uniform = torch.nn.functional.normalize(torch.randn(200_000, size).double(), dim=-1)
    density = law.log_prob(uniform).exp() * area
    assert abs(float(density.mean()) - 1) < 5 * float(density.std()) / math.sqrt(len(density))
    z = law.sample(200_000)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-9
    # the mean cosine of the draws is that of the density
    cosine = (density * uniform[:, 0]).mean()
    error = (density * uniform[:, 0]).std() / math.sqrt(len(density)) + 1 / math.sqrt(len(z))
    assert abs(float(cosine - z[:, 0].mean())) < 5 * float(error)


def of(base):
    return Independent(base, 1)


@pytest.mark.parametrize(
    ("law", "known"),
    [
        (of(Normal(torch.zeros(1).double() + 3, HALF / 500)), 1.0),
        (of(Laplace(torch.zeros(1).double(), HALF)), 1.0),
        (of(Beta(2 * HALF, 4 * HALF)), 1.0),
        (of(Uniform(-HALF, HALF)), 1.0),
        (of(Normal(torch.zeros(2).double(), torch.tensor([0.1, 3.0]).double())), 1.0),
    ],
    ids=["narrow normal", "kink", "compact", "jump", "plane"],
)
def test_integrals(law, known):
    space = space_of(law)
    assert space == "space"
    found = integral(law_of(law), space, law.sample((2000,)))
    assert found is not None
    value, error = found
    assert abs(value - known) <= 1e-4 + error
    assert error < 0.02


def test_an_integral_that_cannot_be_resolved_is_refused():
    """Two needles far apart: no grid over both sees them."""
    spread = torch.tensor([1e-7], dtype=torch.float64)
    needle = law_of(of(Normal(torch.zeros(1).double(), spread)))
    far = torch.cat([torch.zeros(50, 1), torch.ones(50, 1)]).double()
    assert integral(needle, "space", far) is None


def test_other_spaces_have_no_reference():
    counts = torch.distributions.Poisson(torch.tensor([3.0, 4.0]).double())
    assert space_of(of(counts)) == ""
    assert fitted("", torch.zeros(10, 2)) is None
    assert integral(law_of(of(counts)), "", torch.zeros(10, 2).double()) is None
