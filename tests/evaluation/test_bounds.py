"""The importance-weighted bound, streamed."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical

from tests.evaluation.models import LinearGaussian, LogLikelihood, normal_log_density, standard
from vaebench.evaluation import importance_bound, importance_curve

F64 = torch.float64
#: Standard deviation of log N(1; z, 1) for z ~ N(0, 1): of (1 - z)² / 2, a non-central χ².
WEIGHTS_STD = math.sqrt(2 * (1 + 2 * 1)) / 2


def diagonal(loc: Tensor, scale: Tensor) -> Independent:
    return Independent(Normal(loc, scale), 1)


@pytest.mark.parametrize("samples", [1, 7, 300])
def test_exact_posterior_gives_the_evidence(samples: int) -> None:
    model = LinearGaussian(4, 9, sigma=0.7)
    x = model.images(5)
    found = importance_bound(
        model.log_likelihood(x), standard(4), model.posterior(x), samples=samples
    )
    assert found.dtype == F64
    torch.testing.assert_close(found, model.log_evidence(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("k", "value"), [(1, -1.918938533), (2, -1.653473787)])
def test_known_values(k: int, value: float) -> None:
    """z ~ N(0, 1), x | z ~ N(z, 1), x = 1, q = prior; 40,000 images make the expectation."""
    batch = 40_000
    zeros = torch.zeros(batch, 1, dtype=F64)
    likelihood = LogLikelihood(zeros + 1, lambda x, z: normal_log_density(x - z, 1.0))
    found = importance_bound(likelihood, standard(1), diagonal(zeros, zeros + 1), samples=k)
    assert (found.mean() - value).abs() < 4 * found.std() / math.sqrt(batch)


def test_chunks_seeds_and_random_state() -> None:
    model = LinearGaussian(4, 9, sigma=0.7)
    x = model.images(5)
    q = diagonal(model.posterior(x).mean, model.posterior(x).stddev)
    before = torch.get_rng_state()

    def bound(**options) -> Tensor:
        likelihood = model.log_likelihood(x)
        return importance_bound(likelihood, standard(4), q, samples=150, **options)

    assert torch.equal(bound(), bound(seed=0))
    assert not torch.equal(bound(), bound(seed=1))
    torch.testing.assert_close(bound(chunk=1), bound(chunk=1000), rtol=0, atol=1e-10)
    assert torch.equal(torch.get_rng_state(), before)
    assert (bound() < model.log_evidence(x) + 0.2).all()


def test_discrete_latents() -> None:
    logits = torch.tensor([[0.2, 1.0, -0.5]], dtype=F64)
    prior = OneHotCategorical(torch.tensor([0.5, 0.3, 0.2], dtype=F64))
    table = torch.tensor([-1.0, -3.0, -0.5], dtype=F64)
    found = importance_bound(
        lambda z: z @ table, prior, OneHotCategorical(logits=logits), samples=20_000
    )
    truth = (prior.probs * table.exp()).sum().log()
    assert found.item() == pytest.approx(truth.item(), abs=0.03)


def test_infinite_weights_and_missing_densities_are_refused() -> None:
    zeros = torch.zeros(2, 1, dtype=F64)
    q = diagonal(zeros, zeros + 1)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="image 1"):
            importance_bound(
                lambda z, bad=bad: torch.stack([z[:, 0, 0], z[:, 1, 0] + bad], 1),
                standard(1),
                q,
                samples=3,
            )
    with pytest.raises(ValueError, match="shape"):
        importance_bound(lambda z: z, standard(1), q, samples=3)
    with pytest.raises(ValueError, match="at least 1"):
        importance_bound(lambda z: z[..., 0], standard(1), q, samples=0)

    class Point(Distribution):
        arg_constraints = {}  # noqa: RUF012

        def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
            return zeros.expand(*sample_shape, 2, 1)

    point = Point(torch.Size((2,)), torch.Size((1,)), validate_args=False)
    with pytest.raises(ValueError, match="no density"):
        importance_bound(lambda z: z[..., 0], standard(1), point, samples=3)


class Recorded:
    """A log-likelihood that keeps what it returned, under q = p: these are the log-weights."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.seen: list[Tensor] = []

    def __call__(self, z: Tensor) -> Tensor:
        self.seen.append(-2 * z[..., 0].square() + torch.arange(self.batch))
        return self.seen[-1]


@pytest.mark.parametrize("samples", [1, 2, 7, 50, 100, 101, 256, 1730])
def test_the_curve_averages_groups_of_the_same_draws(samples: int) -> None:
    zeros = torch.zeros(3, 1, dtype=F64)
    likelihood = Recorded(3)
    found = importance_curve(
        likelihood, standard(1), diagonal(zeros, zeros + 1), samples=samples, chunk=13
    )
    ladder = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k < samples]
    assert found.k == (*ladder, samples)
    log_w = torch.cat(likelihood.seen).numpy()
    assert log_w.shape == (samples, 3)
    for k, bound in zip(found.k, found.bound, strict=True):
        groups = [log_w[i * k : (i + 1) * k] for i in range(samples // k)]
        expected = np.mean([logsumexp(group, axis=0) - math.log(k) for group in groups], 0)
        torch.testing.assert_close(bound, torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_every_bound_of_the_curve_is_unbiased() -> None:
    """z ~ N(0, 1), x | z ~ N(z, 1), x = 1, q = prior: L_K by quadrature over the weights."""
    batch = 20_000
    zeros = torch.zeros(batch, 1, dtype=F64)
    likelihood = LogLikelihood(zeros + 1, lambda x, z: normal_log_density(x - z, 1.0))
    found = importance_curve(likelihood, standard(1), diagonal(zeros, zeros + 1), samples=10)
    known = {1: -1.918938533, 2: -1.653473787}
    for k, bound in zip(found.k, found.bound, strict=True):
        assert bound.shape == (batch,)
        if k in known:
            assert (bound.mean() - known[k]).abs() < 4.5 * bound.std() / math.sqrt(batch)
    means = found.bound.mean(1)
    assert (means.diff() > 0).all()
    # Ten draws are averaged for K = 1 and none for K = 10.
    assert found.bound[0].std() == pytest.approx(math.sqrt(0.1) * WEIGHTS_STD, rel=0.05)
