"""The Epanechnikov kernel: closed forms, draws, and a support that rounding respects."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch.distributions import Independent, Normal, kl_divergence
from vaebench_plugins.epanechnikov import Epanechnikov, EpanechnikovPosterior


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def kernel(loc: float, scale: float) -> Epanechnikov:
    return Epanechnikov(double(loc), double(scale))


def test_kl_of_the_references() -> None:
    p = Normal(double(0), double(1))

    assert kl_divergence(kernel(0, 1), p).item() == pytest.approx(0.450884, abs=1e-6)
    assert kl_divergence(kernel(0, math.sqrt(5)), p).item() == pytest.approx(0.046165, abs=1e-6)


@pytest.mark.parametrize(
    ("loc", "scale", "prior_loc", "prior_scale"),
    [(0, 1, 0, 1), (0.7, 0.3, -0.2, 1.5), (-3, 4, 1, 0.5), (2, 1e-3, 0, 1)],
)
def test_kl_is_that_of_the_densities(
    loc: float, scale: float, prior_loc: float, prior_scale: float
) -> None:
    q, p = kernel(loc, scale), Normal(double(prior_loc), double(prior_scale))

    def integrand(u: float) -> float:
        z = loc + scale * double(u)
        log_q = q.log_prob(z)
        return (scale * log_q.exp() * (log_q - p.log_prob(z))).item()

    exact = quad(integrand, -1, 1, epsabs=1e-12)[0]
    assert kl_divergence(q, p).item() == pytest.approx(exact, rel=1e-8)
    both = kl_divergence(
        Independent(Epanechnikov(q.loc.expand(3), q.scale.expand(3)), 1),
        Independent(Normal(p.loc.expand(3), p.scale.expand(3)), 1),
    )
    assert both.item() == pytest.approx(3 * exact, rel=1e-8)


def test_moments_and_entropy_are_those_of_the_density() -> None:
    q = kernel(0.7, 2.5)

    def expect(f: object) -> float:
        def integrand(z: float) -> float:
            return q.log_prob(double(z)).exp().item() * f(z)  # type: ignore[operator]

        return quad(integrand, 0.7 - 2.5, 0.7 + 2.5, epsabs=1e-12)[0]

    assert expect(lambda z: 1.0) == pytest.approx(1, abs=1e-10)
    assert expect(lambda z: z) == pytest.approx(q.mean.item(), abs=1e-10)
    assert expect(lambda z: (z - 0.7) ** 2) == pytest.approx(q.variance.item(), abs=1e-10)
    assert expect(lambda z: (z - 0.7) ** 4) == pytest.approx(
        15 / 7 * q.variance.item() ** 2, abs=1e-9
    )
    assert expect(lambda z: -q.log_prob(double(z)).item()) == pytest.approx(q.entropy().item())
    assert q.entropy().item() == pytest.approx(5 / 3 - math.log(3) + math.log(2.5))


def test_distribution_function_and_quantile() -> None:
    q = kernel(-1, 2)
    u = torch.linspace(-1, 1, 101, dtype=torch.float64)
    z = -1 + 2 * u

    torch.testing.assert_close(q.cdf(z), 0.5 + 0.75 * u - u**3 / 4)
    torch.testing.assert_close(q.icdf(q.cdf(z)), z, atol=1e-7, rtol=0)
    assert q.cdf(double(-9)).item() == 0
    assert q.cdf(double(9)).item() == 1


def test_no_density_outside_and_no_nan_in_its_gradient() -> None:
    loc, scale = double(0).requires_grad_(), double(1).requires_grad_()
    z = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).double()
    value = Epanechnikov(loc, scale).log_prob(z)

    assert value.tolist() == pytest.approx(
        [-math.inf, -math.inf, math.log(0.75), -math.inf, -math.inf]
    )
    grads = torch.autograd.grad(value[value.isfinite()].sum(), [loc, scale])
    assert all(g.isfinite() for g in grads)


def test_draws_follow_the_density() -> None:
    torch.manual_seed(0)
    q = kernel(0.7, 2.5)
    z = q.sample((20_000,))

    assert kstest(z.numpy(), lambda x: q.cdf(torch.as_tensor(x)).numpy()).pvalue > 1e-5
    assert torch.all((z - 0.7).abs() < 2.5)


def test_gradient_through_the_draws_is_exact() -> None:
    torch.manual_seed(1)
    loc, scale = double(0.4).requires_grad_(), double(1.3).requires_grad_()
    u = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    weight = 0.75 * (1 - u**2) * (u[1] - u[0])
    exact = torch.autograd.grad((weight * torch.sin(loc + scale * u)).sum(), [loc, scale])

    many = [p.detach().expand(100_000).clone().requires_grad_() for p in (loc, scale)]
    z = Epanechnikov(*many).rsample()
    for grads, value in zip(torch.autograd.grad(z.sin().sum(), many), exact, strict=True):
        error = grads.std().item() / math.sqrt(len(grads))
        assert abs(grads.mean().item() - value.item()) < 5 * error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (3.0, 1e-3), (1e5, 1e-4), (1e4, 30.0)])
def test_rounding_keeps_draws_inside(dtype: torch.dtype, loc: float, scale: float) -> None:
    torch.manual_seed(2)
    q = Epanechnikov(torch.full((200_000,), loc, dtype=dtype), torch.tensor(scale, dtype=dtype))

    assert q.log_prob(q.rsample()).isfinite().all()


def test_posterior_has_the_moments_of_the_gaussian_with_the_same_heads() -> None:
    made = EpanechnikovPosterior(3, 4)
    h = torch.randn(5, 4)
    q, gaussian = made(h), super(EpanechnikovPosterior, made).forward(h)

    assert q.batch_shape == (5,)
    assert q.event_shape == (3,)
    torch.testing.assert_close(q.mean, gaussian.mean)
    torch.testing.assert_close(q.variance, gaussian.variance)
