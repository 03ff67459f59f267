"""The masked autoregressive flow: conditionals are Gaussian, and it is an IAF run backwards."""

import pytest
import torch
from vaebench_plugins.iaf import InverseAutoregressiveFlow
from vaebench_plugins.maf import MAFPosterior

from vaebench import Gaussian


def made(features: int = 5, **options: int) -> MAFPosterior:
    torch.manual_seed(features)
    posterior = MAFPosterior(features, 4, **options).double()
    with torch.no_grad():
        for step in posterior.steps:
            step.hidden.weight *= 3  # far from the identity
            step.out.weight *= 3
    return posterior


@pytest.mark.parametrize("features", [1, 2, 5])
def test_density_is_that_of_the_draws(features: int) -> None:
    q = made(features)(torch.randn(3, 4).double())
    z, log_q = q.rsample_and_log_prob((20,))
    assert z.shape == (20, 3, features)
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-9, atol=1e-9)


def test_it_undoes_an_inverse_autoregressive_flow() -> None:
    posterior, h = made(), torch.randn(3, 4).double()
    q = posterior(h)
    torch.manual_seed(1)
    z = q.rsample()
    torch.manual_seed(1)
    start = q.base.rsample()
    for step in q.steps:
        z, _ = step(z, h)
    torch.testing.assert_close(z, start)
    iaf = InverseAutoregressiveFlow(q.base, q.steps, h)
    assert not torch.allclose(iaf.log_prob(start), q.log_prob(start))


def test_each_dimension_is_gaussian_given_those_before_it() -> None:
    """log q is quadratic in the last dimension, whose second difference is constant."""
    q = made(3, steps=1)(torch.randn(1, 4).double())
    z = torch.randn(1, 3).double().repeat(9, 1)
    z[:, 2] += torch.arange(9.0).double()
    curvature = q.log_prob(z[:, None]).diff(n=2, dim=0)
    torch.testing.assert_close(curvature, curvature[:1].expand_as(curvature))
    assert curvature[0].item() < 0


def test_no_steps_are_the_diagonal_gaussian() -> None:
    posterior, gaussian = MAFPosterior(4, 5, steps=0), Gaussian(4, 5)
    gaussian.load_state_dict(posterior.base.state_dict())
    h, z = torch.randn(3, 5), torch.randn(3, 4)
    assert torch.equal(posterior(h).log_prob(z), gaussian(h).log_prob(z))
    with pytest.raises(ValueError, match="steps >= 0 and width >= 1"):
        MAFPosterior(2, 3, width=0)
