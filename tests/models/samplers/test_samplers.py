import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from vaebench.evaluation import ais
from vaebench.models.samplers import SAMPLERS, fitted, flow, training
from vaebench.models.samplers.aggregate import MOST, Aggregate


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(training, "STEPS", 250)
    torch.manual_seed(0)


def three_heaps():
    means = torch.tensor([[-4.0, 0.0], [4.0, 1.0], [0.0, 5.0]], dtype=torch.float64)
    half = torch.tensor([[0.8, 0.0], [0.5, 0.4]], dtype=torch.float64)
    each = MultivariateNormal(means, scale_tril=half.expand(3, 2, 2))
    return MixtureSameFamily(Categorical(torch.tensor([0.5, 0.3, 0.2]).double()), each)


def posteriors(codes):
    return Independent(Normal(codes, 0.1), 1)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "normal"])
def test_every_fitted_sampler_keeps_mean_and_spread_of_the_codes(name):
    codes = three_heaps().sample((1500,))
    found = fitted(SAMPLERS[name], codes, posteriors(codes))
    z = found.sample((4000,))
    assert z.dtype == codes.dtype and z.shape == (4000, 2)
    error = codes.std(0) * math.sqrt(1 / 1500 + 1 / 4000)
    allowed = 4 if name in ("gmm", "aggregate") else 12
    assert ((z.mean(0) - codes.mean(0)).abs() < allowed * error).all()
    assert (z.std(0) / codes.std(0)).sub(1).abs().max() < (0.05 if allowed == 4 else 0.25)
    assert found.sample().shape == (2,)


def test_the_normal_sampler_does_not_look_at_the_codes():
    codes = three_heaps().sample((10,))
    found = fitted(SAMPLERS["normal"], codes, posteriors(codes))
    z = found.sample((4000,))
    assert z.dtype == codes.dtype and z.mean(0).abs().max() < 0.08
    expected = -z.square().sum(-1) / 2 - math.log(2 * math.pi)
    torch.testing.assert_close(found.log_prob(z), expected)


def test_a_mixture_finds_the_density_of_a_known_one():
    truth = three_heaps()
    codes, new = truth.sample((4000,)), truth.sample((4000,))
    found = SAMPLERS["gmm"](codes, components=3)
    gap = truth.log_prob(new) - found.log_prob(new)
    # The excess of a maximum-likelihood fit is (parameters) / 2 N on average.
    assert abs(gap.mean() - 17 / (2 * 4000)) < 3 * gap.std() / math.sqrt(4000) + 0.002


def test_the_flow_is_normalised_and_draws_from_its_density():
    torch.manual_seed(3)
    codes = three_heaps().sample((500,))
    steps = [flow.Step(2, 16, bool(i % 2)).double() for i in range(3)]
    found = flow.Flow(training.Standard(codes), steps)
    axis = torch.linspace(-40, 40, 1201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = found.log_prob(grid).exp()
    area = (axis[1] - axis[0]) ** 2
    assert (density.sum() * area).item() == pytest.approx(1, abs=1e-3)
    z = found.sample((20_000,))
    mean = (density[:, None] * grid).sum(0) * area
    assert ((z.mean(0) - mean).abs() < 5 * z.std(0) / math.sqrt(20_000)).all()


@pytest.mark.parametrize("features", [1, 2, 5])
def test_a_step_of_the_flow_is_triangular_and_undone_by_its_inverse(features):
    step = flow.Step(features, 24, opposite=True).double()
    x = torch.randn(features, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: step(v)[0], x)
    y, log_det = step(x)
    assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det.item())
    with torch.no_grad():
        assert torch.allclose(step.inverse(y), x)


def test_the_aggregate_is_the_mixture_of_all_posteriors():
    codes = torch.randn(50, 3, dtype=torch.float64)
    found = Aggregate(posteriors(codes))
    z = torch.randn(7, 4, 3, dtype=torch.float64)
    each = torch.stack([Independent(Normal(c, 0.1), 1).log_prob(z) for c in codes])
    assert torch.allclose(found.log_prob(z), each.logsumexp(0) - math.log(50))
    many = Aggregate(posteriors(torch.zeros(MOST + 1, 3)))
    with pytest.raises(NotImplementedError, match="posteriors"):
        many.log_prob(z)
    # Every image is drawn once in each round.
    near = torch.cdist(found.sample((50,)), codes).argmin(1)
    assert len(near.unique()) > 45


def test_a_second_stage_has_no_density():
    codes = three_heaps().sample((200,))
    with pytest.raises(NotImplementedError):
        SAMPLERS["two-stage"](codes).log_prob(codes)


def test_a_distribution_of_another_shape_is_refused():
    codes = torch.randn(20, 3)
    with pytest.raises(ValueError, match="event shape"):
        fitted(lambda codes: Normal(0.0, 1.0), codes, posteriors(codes))


def test_likelihood_under_a_fitted_mixture_is_that_of_the_mixture_of_evidences():
    """A linear decoder: x|z ~ N(W z, σ²), so that p(x) is a mixture of Gaussians again."""
    prior = SAMPLERS["gmm"](three_heaps().sample((2000,)), components=3)
    weight = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]], dtype=torch.float64)
    noise = 0.5
    each = prior.component_distribution
    covariance = weight @ each.covariance_matrix @ weight.T + noise**2 * torch.eye(3).double()
    exact = MixtureSameFamily(
        prior.mixture_distribution, MultivariateNormal(each.mean @ weight.T, covariance)
    )
    x = exact.sample((24,))

    def log_px(z):
        return Normal(z @ weight.T, noise).log_prob(x).sum(-1)

    found = ais(log_px, prior, batch=24, seed=0)
    gap = found.log_likelihood.double() - exact.log_prob(x)
    assert gap[found.trusted].abs().max() < 0.25
    assert abs(gap[found.trusted].mean()) < 3 * found.mean_se + 0.02
