"""What annealing refuses, in one clear sentence, and what it survives."""

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Beta,
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)

from tests.evaluation.models import LogLikelihood, normal_log_density, standard
from vaebench.evaluation import ais

F64 = torch.float64


def linear(x: Tensor) -> LogLikelihood:
    return LogLikelihood(x, lambda x, z: normal_log_density(x - z, 1.0))


ZERO = torch.zeros(3, 2, dtype=F64)
NAN_IMAGE = torch.tensor([[0.0, 0.0], [0.0, torch.nan], [0.0, 0.0]], dtype=F64)


@pytest.mark.parametrize(
    ("likelihood", "words"),
    [
        (lambda z: linear(ZERO)(z) * torch.nan, "not finite for image 0, 1, 2"),
        (linear(NAN_IMAGE), "not finite for image 1:"),
        (lambda z: linear(ZERO)(z) + torch.inf, "not finite"),
        (lambda z: linear(ZERO)(z) - torch.inf, "not finite"),
        (lambda z: linear(ZERO)(z)[..., None], r"returned shape \(.*, 3, 1\)"),
        (lambda z: linear(ZERO)(z).sum(-1), r"it has to be \(.*, 3\)"),
        (lambda z: linear(ZERO)(z).detach(), "no gradient"),
    ],
)
def test_bad_decoders(likelihood, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ais(likelihood, standard(2), batch=3)


def test_bad_image_is_named_by_its_own_number_in_chunks() -> None:
    with pytest.raises(ValueError, match="finite for image 1:"):
        ais(linear(NAN_IMAGE), standard(2), batch=3, chunk=1)


def test_decoder_that_overflows_far_out() -> None:
    """Where it is not a number the likelihood counts as 0, which costs 0.3 % of the mass."""

    def density(x: Tensor, z: Tensor) -> Tensor:
        value = normal_log_density(x - z, 1.0)
        return torch.where(z.norm(dim=-1) < 4.0, value, torch.nan)

    x = torch.zeros(2, 2, dtype=F64)
    found = ais(LogLikelihood(x, density), standard(2), batch=2, start="prior", chains=200)
    truth = MultivariateNormal(x[0], 2 * torch.eye(2, dtype=F64)).log_prob(x)
    assert ((found.log_likelihood - truth).abs() < 0.1).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"steps": 0},
        {"chains": 0},
        {"kernel": "nuts"},
        {"start": "nowhere"},
        {"start": "proposal"},
        {"schedule": "random"},
        {"target": 0.0},
        {"budget": 0},
        {"proposal": "encoder"},
        {"batch": 0},
        {"chunk": 0},
        {"proposal": standard(2)},
        {"proposal": Independent(Normal(ZERO * torch.nan, ZERO + 1, validate_args=False), 1)},
    ],
)
def test_bad_arguments(arguments: dict) -> None:
    with pytest.raises(ValueError):
        ais(linear(ZERO), standard(2), **{"batch": 3, **arguments})


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (OneHotCategorical(torch.ones(2)), "importance_bound"),
        (Independent(Beta(torch.ones(2), torch.ones(2)), 1), "from_normal"),
        (Normal(torch.zeros(2), torch.ones(2)), "batch shape"),
    ],
)
def test_priors_that_cannot_be_annealed(prior: Distribution, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ais(linear(ZERO), prior, batch=3)
