import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck
from torch.distributions import kl_divergence
from vaebench_plugins.vmf import HypersphericalUniform, PowerSpherical

F64 = torch.float64
GRID = [(2, 1), (3, 0.01), (5, 10), (41, 100), (128, 3), (1024, 1e4)]


def power_spherical(m: int, kappa: float) -> PowerSpherical:
    loc = torch.randn(m, dtype=F64, generator=torch.Generator().manual_seed(m))
    return PowerSpherical(loc / loc.norm(), torch.tensor(kappa, dtype=F64, requires_grad=True))


@pytest.mark.parametrize(
    ("m", "kappa", "kl"),
    [(3, 1, 0.19314718056), (5, 10, 1.655532435457), (41, 100, 14.48713408831)],
)
def test_kl_has_the_published_values(m, kappa, kl):
    value = kl_divergence(power_spherical(m, kappa), HypersphericalUniform(m)).item()
    assert value == pytest.approx(kl, rel=1e-11)


@pytest.mark.parametrize(("m", "kappa"), GRID)
def test_kl_and_entropy_agree_with_quadrature_over_the_beta_law(m, kappa):
    beta = mpmath.mpf(m - 1) / 2
    alpha = beta + kappa

    def log_ratio(t):
        return kappa * mpmath.log(t) + mpmath.log(
            mpmath.beta(beta, beta) / mpmath.beta(alpha, beta)
        )

    def integrand(s):  # in the logit of t
        t = 1 / (1 + mpmath.exp(-s))
        law = t**alpha * (1 / (1 + mpmath.exp(s))) ** beta / mpmath.beta(alpha, beta)
        return law * log_ratio(t)

    mode, reach = mpmath.log(alpha / beta), 80 * mpmath.sqrt(1 / alpha + 1 / beta)
    points = mpmath.linspace(mode - reach, mode + reach, 40)
    exact = float(mpmath.quad(integrand, points))
    q = power_spherical(m, kappa)
    value = kl_divergence(q, HypersphericalUniform(m))
    assert value.item() == pytest.approx(exact, rel=1e-8, abs=1e-12)
    assert q.entropy().item() == pytest.approx(q.uniform.log_area - exact, rel=1e-9)


@pytest.mark.parametrize("m", [2, 10, 1024])
def test_kl_is_never_negative_and_starts_as_half_a_square(m):
    kappa = torch.logspace(-12, 0, 50, dtype=F64)
    q = PowerSpherical(power_spherical(m, 1.0).loc.expand(50, m), kappa)
    kl = kl_divergence(q, HypersphericalUniform(m))
    assert (kl >= 0).all()
    variance = float(mpmath.polygamma(1, (m - 1) / 2) - mpmath.polygamma(1, m - 1))
    small = kappa < 1e-3
    torch.testing.assert_close(kl[small], kappa[small] ** 2 * variance / 2, rtol=1e-2, atol=1e-12)


@pytest.mark.parametrize(("m", "kappa"), GRID)
def test_density_is_that_of_the_beta_marginal(m, kappa):
    """The law of w is the density times the area of the sphere's slice at w."""
    q = power_spherical(m, kappa)
    torch.manual_seed(1)
    z = q.rsample((20,)).detach()
    w = (z @ q.loc).numpy()
    slice_area = math.log(2) + (m - 1) / 2 * math.log(math.pi) - math.lgamma((m - 1) / 2)
    marginal = stats.beta((m - 1) / 2 + kappa, (m - 1) / 2).logpdf((1 + w) / 2) - math.log(2)
    expected = marginal - slice_area - (m - 3) / 2 * np.log1p(-(w**2))
    np.testing.assert_allclose(q.log_prob(z).detach(), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize(("m", "kappa"), GRID)
def test_draws_have_their_exact_law(m, kappa):
    torch.manual_seed(2)
    q = power_spherical(m, kappa)
    z = q.rsample((4000,)).detach()
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(4000, dtype=F64))
    law = stats.beta((m - 1) / 2 + kappa, (m - 1) / 2)
    assert stats.kstest((1 + (z @ q.loc).numpy()) / 2, law.cdf).pvalue > 1e-5
    mean = z.mean(0) - q.mean.detach()
    assert (mean.abs() < 5 * z.std(0) / math.sqrt(4000)).all()


@pytest.mark.parametrize(("m", "kappa"), [(2, 1), (3, 0.01), (5, 10), (41, 100)])
def test_gradient_of_each_draw_is_the_implicit_one(m, kappa):
    """-dF/dκ over dF/dw, F the incomplete beta function differentiated in 40 digits."""
    torch.manual_seed(3)
    q = power_spherical(m, kappa)
    for z in q.rsample((4,)):
        w = z @ q.loc
        (slope,) = torch.autograd.grad(w, q.concentration, retain_graph=True)
        with mpmath.workdps(40):
            t, beta = (1 + mpmath.mpf(w.item())) / 2, mpmath.mpf(m - 1) / 2

            def cdf(k, t=t, beta=beta):
                return mpmath.betainc(beta + k, beta, 0, t, regularized=True)

            step = mpmath.mpf(10) ** -12
            change = (cdf(kappa + step) - cdf(kappa - step)) / (2 * step)
            law = t ** (beta + kappa - 1) * (1 - t) ** (beta - 1)
            exact = float(-2 * change / law * mpmath.beta(beta + kappa, beta))
        assert slope.item() == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize(("m", "kappa"), [(2, 1), (5, 10), (128, 3), (1024, 1e4), (2, 1e5)])
def test_pathwise_gradient_of_the_mean_cosine_is_exact(m, kappa):
    torch.manual_seed(4)
    n = 4000
    kappas = torch.full((n,), float(kappa), dtype=F64, requires_grad=True)
    loc = power_spherical(m, kappa).loc
    z = PowerSpherical(loc.expand(n, m), kappas).rsample()
    (slopes,) = torch.autograd.grad((z @ loc).sum(), kappas)
    exact = (m - 1) / (kappa + m - 1) ** 2
    assert abs(slopes.mean() - exact) < 5 * slopes.std() / math.sqrt(n)


def test_gradients_of_density_and_kl_pass_gradcheck():
    def functions(x, kappa, value):
        q = PowerSpherical(x / x.norm(dim=-1, keepdim=True), kappa, validate_args=False)
        value = value / value.norm(dim=-1, keepdim=True)
        return q.log_prob(value), kl_divergence(q, HypersphericalUniform(4)), q.entropy(), q.mean

    x, value = torch.randn(2, 3, 4, dtype=F64, generator=torch.Generator().manual_seed(1))
    kappa = torch.tensor([0.01, 2.0, 50.0], dtype=F64, requires_grad=True)
    assert gradcheck(functions, (x.requires_grad_(), kappa, value.requires_grad_()))


def test_density_is_finite_at_the_antipode():
    loc = torch.tensor([0.6, 0.8], requires_grad=True)
    log_prob = PowerSpherical(loc, torch.tensor(0.5)).log_prob(-loc.detach())
    log_prob.backward()
    assert log_prob.isfinite() and log_prob < -300 and loc.grad.isfinite().all()
