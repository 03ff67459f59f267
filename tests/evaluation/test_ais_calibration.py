"""Standard errors say how far estimates are off, over many images."""

import pytest
import torch
from torch.distributions import Independent, Normal

from tests.evaluation.models import (
    LinearGaussian,
    LogLikelihood,
    evidence_on_grid,
    standard,
)
from vaebench.evaluation import ais
from vaebench.evaluation.annealing.weights import (
    log_mean_exp,
    mean_weight_error,
    standard_error,
)

F64 = torch.float64


@pytest.mark.parametrize("chains", [8, 16, 64])
def test_errors_of_normal_log_weights(chains: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = 0.1 * torch.randn(chains, 40_000, generator=generator, dtype=F64)
    off = log_mean_exp(weights) - 0.1**2 / 2
    assert (off / standard_error(weights)).square().mean().item() == pytest.approx(1, abs=0.05)
    spread = mean_weight_error(weights).square().mean().item()
    assert spread == pytest.approx(off.square().mean().item(), rel=0.03)


def bernoulli() -> LogLikelihood:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(*s, generator=generator, dtype=F64) for s in ((1, 20), (20, 30)))

    def logits(z: torch.Tensor) -> torch.Tensor:
        return (z @ first).tanh() @ second / 3

    z = torch.randn(500, 1, generator=generator, dtype=F64)
    x = torch.bernoulli(logits(z).sigmoid(), generator=generator)
    return LogLikelihood(
        x, lambda x, z: (x * logits(z) - torch.nn.functional.softplus(logits(z))).sum(-1)
    )


@pytest.mark.slow
def test_errors_over_a_thousand_easy_images() -> None:
    """From a start that is off, and behind fitted ones; the pilot's choices are in here too."""
    model = LinearGaussian(3, 8, sigma=0.7)
    x = model.images(500)
    q = model.posterior(x)
    off = Independent(Normal(q.mean + 0.5 * q.stddev, 1.2 * q.stddev), 1)
    linear = ais(
        model.log_likelihood(x), standard(3), batch=500, proposal=off, start="proposal", chunk=250
    )
    curved = ais(bernoulli(), standard(1), batch=500, chunk=250)
    truth = evidence_on_grid(bernoulli(), standard(1), 500)
    scores = [
        (linear.log_likelihood - model.log_evidence(x)) / linear.se,
        ((curved.log_likelihood - truth) / curved.se)[curved.se > 1e-4],
    ]
    assert torch.cat(scores).square().mean() < 1.3
    assert (torch.cat(scores).abs() > 3).double().mean() < 0.02
