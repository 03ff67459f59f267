"""The inverse autoregressive flow: inversion, determinants, density, draws and gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from vaebench_plugins.iaf import IAFPosterior

from vaebench import Gaussian, elbo
from vaebench.models.draw import draw


def posterior(features: int, steps: int = 3, width: int = 24, gain: float = 3.0) -> IAFPosterior:
    """A flow far from the identity, in float64."""
    torch.manual_seed(features)
    made = IAFPosterior(features, 5, steps=steps, width=width).double()
    with torch.no_grad():
        for step in made.steps:
            step.hidden.weight *= gain
            step.out.weight *= gain
            step.out.bias -= 2
    return made


def test_no_steps_are_the_diagonal_gaussian() -> None:
    made = IAFPosterior(4, 5, steps=0)
    gaussian = Gaussian(4, 5)
    gaussian.load_state_dict(made.base.state_dict())
    h = torch.randn(3, 5)
    tables = []
    for q, p in ((made(h), made.prior()), (gaussian(h), gaussian.prior())):
        torch.manual_seed(7)
        tables.append(draw(q, p, lambda z: -z.square().sum(-1), 6))
    flow, plain = tables

    assert torch.equal(flow.z, plain.z)
    assert torch.equal(flow.log_qz, plain.log_qz)
    assert torch.equal(made(h).log_prob(plain.z), plain.log_qz)
    assert torch.equal(flow.log_w.mean(0), plain.log_w.mean(0))


@pytest.mark.parametrize("features", [1, 2, 3, 20])
def test_density_by_inversion_is_that_of_the_draws(features: int) -> None:
    made = posterior(features)
    q = made(torch.randn(4, 5).double())
    z, log_q = q.rsample_and_log_prob((6,))

    assert z.shape == (6, 4, features)
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2, 5])
@pytest.mark.parametrize("index", [0, 1])
def test_step_is_triangular_with_the_determinant_that_it_reports(features: int, index: int) -> None:
    step = posterior(features).steps[index]
    h = torch.randn(1, 5).double()
    z = torch.randn(features).double()
    by_z = jacobian(lambda u: step(u[None], h)[0][0], z)
    later = by_z if index else by_z.T

    torch.testing.assert_close(torch.linalg.slogdet(by_z)[1], step(z[None], h)[1][0])
    assert (later.tril(-1) == 0).all()
    if features > 1:
        assert (later.triu(1)[*torch.triu_indices(features, features, 1)] != 0).all()
    torch.testing.assert_close(step.inverse(*[step(z[None], h)[0], h])[0][0], z)


def test_every_step_sees_the_context() -> None:
    made = posterior(4)
    z = torch.randn(2, 4).double()
    for step in made.steps:
        h = torch.randn(2, 5).double().requires_grad_()
        for output in step(z, h):
            (gradient,) = torch.autograd.grad(output.sum(), h, retain_graph=True)
            assert (gradient != 0).any()


def grid(features: int, reach: float, points: int) -> tuple[Tensor, float]:
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * features).reshape(-1, features), (
        2 * reach / (points - 1)
    ) ** features


@pytest.mark.parametrize("features", [1, 2])
def test_density_integrates_to_one(features: int) -> None:
    made = posterior(features)
    points, cell = grid(features, 14, 701)
    log_q = made(torch.randn(1, 5).double()).log_prob(points[:, None])

    assert (log_q.exp().sum() * cell).item() == pytest.approx(1, abs=1e-6)


def test_draws_and_their_gradients_follow_the_density() -> None:
    """E[f] and its gradient in a random direction of all parameters, against quadrature."""
    made = posterior(2, steps=2, width=12)
    h = torch.randn(1, 5).double()
    parameters = list(made.parameters())
    torch.manual_seed(3)
    direction = [torch.randn_like(p) for p in parameters]

    def f(z: Tensor) -> Tensor:
        return torch.sin(z[..., 0] + 0.5) * z[..., 1] + 0.2 * z[..., 1] ** 2

    def along(value: Tensor) -> float:
        grads = torch.autograd.grad(value, parameters)
        return sum((g * d).sum().item() for g, d in zip(grads, direction, strict=True))

    points, cell = grid(2, 12, 301)
    expected = (made(h).log_prob(points[:, None])[:, 0].exp() * f(points)).sum() * cell
    values, slopes = [], []
    for _ in range(200):
        sample = f(made(h).rsample((200,))).mean()
        values.append(sample.item())
        slopes.append(along(sample))
    for mine, exact in ((values, expected.item()), (slopes, along(expected))):
        estimate = torch.tensor(mine)
        error = estimate.std().item() / math.sqrt(len(mine))
        assert abs(estimate.mean().item() - exact) < 5 * error


@pytest.mark.parametrize("features", [1, 2, 33])
def test_every_parameter_is_reached(features: int) -> None:
    torch.manual_seed(0)
    made = IAFPosterior(features, 6, width=8)
    h = torch.randn(4, 6)
    elbo(draw(made(h), made.prior(), lambda z: -z.sum(-1).square(), 2)).sum().backward()

    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    made = IAFPosterior(10, 16)
    h = torch.randn(64, 16)
    torch.manual_seed(1)
    z = made(h).rsample()
    torch.manual_seed(1)
    before = made.base(h).rsample()

    assert (z - before).square().mean().item() < 0.1 * before.square().mean().item()


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="steps >= 0 and width >= 1"):
        IAFPosterior(2, 3, steps=-1)
    with pytest.raises(ValueError, match="steps >= 0 and width >= 1"):
        IAFPosterior(2, 3, width=0)
