import copy
import math
from functools import partial

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import kl_divergence
from vaebench_plugins.vmf import (
    HypersphericalUniform,
    PowerSphericalPlugin,
    PowerSphericalPosterior,
    VonMisesFisher,
    VonMisesFisherPosterior,
    vaebench_variants,
)

from vaebench import Variant, testing
from vaebench.models.draw import draw
from vaebench.models.objectives import elbo

F64 = torch.float64
GRID = [
    (m, kappa)
    for m in (2, 3, 4, 10, 41, 111, 512, 1024)
    for kappa in (1e-3, 0.03, 0.5, 1, 7, 20, 100, 1e3, 1e5)
]
PATHS = [(2, 1e-3), (2, 1), (2, 300), (3, 1e4), (5, 2), (11, 5), (41, 100), (128, 20), (1024, 1e5)]
POSTERIORS = [VonMisesFisherPosterior, PowerSphericalPosterior]


def direction(m: int, seed: int = 0) -> Tensor:
    x = torch.randn(m, dtype=F64, generator=torch.Generator().manual_seed(seed))
    return x / x.norm()


def vmf(m: int, kappa: float) -> VonMisesFisher:
    return VonMisesFisher(direction(m), torch.tensor(kappa, dtype=F64, requires_grad=True))


def reference(m: int, kappa: float) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """KL to the uniform law, E[w] and Var[w] from Bessel functions with 50 digits."""
    with mpmath.workdps(50):
        half, k = mpmath.mpf(m) / 2, mpmath.mpf(kappa)
        low, high = mpmath.besseli(half - 1, k), mpmath.besseli(half, k)
        mean = high / low
        log_norm = mpmath.loggamma(half) + (half - 1) * mpmath.log(2 / k) + mpmath.log(low)
        return k * mean - log_norm, mean, 1 - mean**2 - (m - 1) * mean / k


def relative(value: Tensor, exact: mpmath.mpf) -> float:
    return abs(float((mpmath.mpf(value.item()) - exact) / exact))


@pytest.mark.parametrize(("m", "kappa"), GRID)
def test_kl_and_moments_agree_with_high_precision(m, kappa):
    q = vmf(m, kappa)
    kl, mean, variance = reference(m, kappa)
    value = kl_divergence(q, HypersphericalUniform(m))
    assert relative(value, kl) < 1e-11
    assert relative(q.mean_cosine, mean) < 1e-11
    (slope,) = torch.autograd.grad(value, q.concentration)
    assert relative(slope, kappa * variance) < 1e-10
    (slope,) = torch.autograd.grad(q.mean_cosine, q.concentration)
    assert relative(slope, variance) < 1e-10
    area = math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)
    torch.testing.assert_close(q.entropy().item(), area - float(kl), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(
    ("m", "kappa", "kl"),
    [
        (3, 1, 0.151595923928),
        (3, 10, 1.99573231684),
        (5, 10, 2.41617665124),
        (41, 100, 22.4787931592),
        (512, 1000, 236.272017082),
    ],
)
def test_kl_has_the_published_values(m, kappa, kl):
    value = kl_divergence(vmf(m, kappa), HypersphericalUniform(m)).item()
    assert value == pytest.approx(kl, rel=1e-11)


@pytest.mark.parametrize("m", [2, 3, 17, 111, 1024])
def test_normaliser_and_derivative_have_no_seams(m):
    """Over 3,000 small steps of κ, increments equal Simpson's integral of the derivative."""
    knots = torch.logspace(-3, 5, 3001, dtype=F64)
    at, between = (
        VonMisesFisher(direction(m), kappa)._cumulants
        for kappa in (knots, (knots[1:] + knots[:-1]) / 2)
    )
    for order in (0, 1):
        slope, middle = at[order + 1], between[order + 1]
        integral = knots.diff() / 6 * (slope[:-1] + 4 * middle + slope[1:])
        error = (at[order].diff() - integral).abs()
        assert (error < 1e-11 * at[order][1:]).all()


def test_gradients_of_density_and_kl_pass_gradcheck():
    def functions(x, kappa, value):
        q = VonMisesFisher(x / x.norm(dim=-1, keepdim=True), kappa, validate_args=False)
        return q.log_prob(value), kl_divergence(q, HypersphericalUniform(4)), q.entropy(), q.mean

    x, value = torch.randn(2, 3, 4, dtype=F64, generator=torch.Generator().manual_seed(1))
    kappa = torch.tensor([0.01, 2.0, 50.0], dtype=F64, requires_grad=True)
    inputs = (x.requires_grad_(), kappa, (value / value.norm(dim=-1, keepdim=True)))
    assert gradcheck(functions, (*inputs[:2], inputs[2].requires_grad_()))


@pytest.mark.parametrize(("m", "kappa"), [(2, 1), (3, 10), (41, 20), (128, 300)])
def test_density_is_that_of_scipy(m, kappa):
    q = vmf(m, kappa)
    value = stats.vonmises_fisher(q.loc.numpy(), kappa).rvs(50, random_state=1)
    expected = stats.vonmises_fisher(q.loc.numpy(), kappa).logpdf(value)
    np.testing.assert_allclose(q.log_prob(torch.tensor(value)).detach(), expected, rtol=1e-10)
    expected = stats.vonmises_fisher(q.loc.numpy(), kappa).entropy()
    assert q.entropy().item() == pytest.approx(float(expected), rel=1e-10)


def cosine_cdf(m: int, kappa: float, w: np.ndarray) -> np.ndarray:
    """Distribution function of μ·z, by the trapezoid rule in the angle."""
    angle = np.linspace(0, np.pi, 1_000_001)
    with np.errstate(divide="ignore"):
        log = kappa * np.cos(angle) + ((m - 2) * np.log(np.sin(angle)) if m > 2 else 0)
    density = np.exp(log - log.max())
    mass = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    return 1 - np.interp(np.arccos(np.clip(w, -1, 1)), angle, mass / mass[-1])


@pytest.mark.parametrize(
    ("m", "kappa"), [(2, 1), (2, 50), (5, 1e-3), (41, 20), (128, 20), (3, 1e4), (1024, 1e5)]
)
def test_cosine_of_draws_has_its_exact_law(m, kappa):
    torch.manual_seed(3)
    q = vmf(m, kappa)
    z = q.rsample((4000,)).detach()
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(4000, dtype=F64))
    test = stats.kstest((z @ q.loc).numpy(), lambda w: cosine_cdf(m, kappa, w))
    assert test.pvalue > 1e-5


@pytest.mark.parametrize("m", [2, 3, 6])
def test_draws_have_no_preferred_direction_around_the_mean(m):
    torch.manual_seed(4)
    q = vmf(m, 3.0)
    z = q.rsample((20000,)).detach()
    across = z - (z @ q.loc)[:, None] * q.loc
    along = torch.linalg.svd(q.loc[None])[2][1:]
    cosine = (across / across.norm(dim=-1, keepdim=True)) @ along.T
    if m == 2:
        assert abs(cosine.sign().mean()) < 5 / math.sqrt(20000)
    else:
        half = (m - 2) / 2
        test = stats.kstest((cosine[:, 0].numpy() + 1) / 2, stats.beta(half, half).cdf)
        assert test.pvalue > 1e-5


def velocity(m: int, kappa: float, w: float) -> float:
    """dw/dκ at fixed probability, from the integral over g in 20 digits, in the angle."""
    with mpmath.workdps(20):
        k, angle = mpmath.mpf(kappa), mpmath.acos(mpmath.mpf(w))
        mean = mpmath.besseli(mpmath.mpf(m) / 2, k) / mpmath.besseli(mpmath.mpf(m) / 2 - 1, k)

        def mass(a):
            ratio = mpmath.exp(k * (mpmath.cos(a) - mpmath.cos(angle)))
            return ratio * (mpmath.sin(a) / mpmath.sin(angle)) ** (m - 2)

        ends = (0, angle) if mpmath.mpf(w) > mean else (angle, mpmath.pi)
        tail = mpmath.quad(
            lambda a: abs(mpmath.cos(a) - mean) * mass(a), mpmath.linspace(*ends, 25)
        )
        return float(tail * mpmath.sin(angle))


@pytest.mark.parametrize(("m", "kappa"), [(2, 1e-3), (2, 1), (3, 30), (5, 2), (41, 100), (128, 20)])
def test_gradient_of_each_draw_is_the_implicit_one(m, kappa):
    torch.manual_seed(5)
    q = vmf(m, kappa)
    for z in q.rsample((4,)):
        w = z @ q.loc
        (slope,) = torch.autograd.grad(w, q.concentration, retain_graph=True)
        assert slope.item() == pytest.approx(velocity(m, kappa, w.item()), rel=1e-8)


@pytest.mark.parametrize(("m", "kappa"), PATHS)
def test_pathwise_gradient_of_the_mean_cosine_is_exact(m, kappa):
    torch.manual_seed(6)
    n = 8000
    kappas = torch.full((n,), float(kappa), dtype=F64, requires_grad=True)
    loc = direction(m)
    z = VonMisesFisher(loc.expand(n, m), kappas).rsample()
    (slopes,) = torch.autograd.grad((z @ loc).sum(), kappas)
    exact = float(reference(m, kappa)[2])
    assert abs(slopes.mean() - exact) < 5 * slopes.std() / math.sqrt(n)
    assert slopes.std() / math.sqrt(n) < 0.02 * exact


@pytest.mark.parametrize("m", [2, 3, 4, 9])
@pytest.mark.parametrize("pole", [0, 1, -1])
def test_gradient_to_the_mean_direction_is_exact(m, pole):
    """Of E[(c·z)² + d·z] = (A/κ) |c|² + (1 - m A/κ) (c·μ)² + A d·μ, at any μ, ±e₁ included."""
    torch.manual_seed(7)
    n, kappa = 20000, 2.0
    x = torch.eye(m, dtype=F64)[0] * pole if pole else torch.randn(m, dtype=F64)
    x.requires_grad_()
    c, d = torch.randn(2, m, dtype=F64)
    mean = float(reference(m, kappa)[1])
    loc = x / x.norm()
    (exact,) = torch.autograd.grad(
        (1 - m * mean / kappa) * (c @ loc) ** 2 + mean * (d @ loc), x, retain_graph=True
    )
    locs = loc.detach().expand(n, m).requires_grad_()
    z = VonMisesFisher(locs, torch.tensor(kappa, dtype=F64)).rsample()
    (each,) = torch.autograd.grad(((z @ c).square() + z @ d).sum(), locs)
    (projector,) = torch.autograd.functional.jacobian(lambda y: (y / y.norm(),), x)
    each = each @ projector
    spread = each.std(0) / math.sqrt(n)
    assert ((each.mean(0) - exact).abs() < 5 * spread + 1e-12).all()


@pytest.mark.parametrize(("m", "kappa"), [(2, 0.5), (10, 30), (128, 5), (1024, 1e4)])
def test_float32_is_rounded_float64(m, kappa):
    def results(dtype):
        q = VonMisesFisher(direction(m).to(dtype), torch.tensor(kappa, dtype=dtype))
        torch.manual_seed(8)
        z = q.rsample((5,))
        kl = kl_divergence(q, HypersphericalUniform(m))
        assert z.dtype == kl.dtype == q.entropy().dtype == q.log_prob(z).dtype == dtype
        return [x.double() for x in (kl, q.mean, z, q.log_prob(z))]

    kl, mean, z, log_prob = results(torch.float32)
    for value, exact in zip((kl, mean, z), results(F64), strict=False):
        torch.testing.assert_close(value, exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_prob, results(F64)[3], rtol=1e-6, atol=3e-7 * kappa + 1e-6)


def test_no_concentration_is_the_uniform_law():
    kappa = torch.zeros((), dtype=F64, requires_grad=True)
    q, p = VonMisesFisher(direction(5), kappa), HypersphericalUniform(5, F64)
    z = p.rsample((3,))
    torch.testing.assert_close(q.log_prob(z), p.log_prob(z))
    assert kl_divergence(q, p).item() == 0
    assert p.log_prob(z)[0].item() == pytest.approx(math.log(math.gamma(2.5) / 2 / math.pi**2.5))
    q.rsample((100,)).sum().backward()
    assert kappa.grad.isfinite()


def test_undefined_concentration_shows_instead_of_hanging():
    q = VonMisesFisher(direction(3), torch.tensor(math.nan), validate_args=False)
    assert q.rsample().isnan().all()


def test_prior_maps_a_normal_to_the_sphere():
    p = HypersphericalUniform(3, F64)
    u = torch.randn(7, 3, dtype=F64)
    torch.testing.assert_close(p.from_normal(u).norm(dim=-1), torch.ones(7, dtype=F64))
    torch.testing.assert_close(torch.linalg.cross(p.from_normal(u), u), torch.zeros_like(u))
    assert p.entropy().item() == pytest.approx(math.log(4 * math.pi))
    assert p.rsample((4, 2)).shape == (4, 2, 3)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 2 coordinates"):
        HypersphericalUniform(1)
    with pytest.raises(ValueError, match="UnitVector"):
        VonMisesFisher(torch.ones(3), torch.tensor(1.0))
    with pytest.raises(ValueError, match="concentration"):
        VonMisesFisher(direction(3), torch.tensor(-1.0))
    with pytest.raises(ValueError, match="3 and 4 coordinates"):
        kl_divergence(vmf(3, 1.0), HypersphericalUniform(4))
    for posterior in POSTERIORS:
        with pytest.raises(ValueError, match="at least 2 latent coordinates"):
            posterior(1, 8)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("features", [2, 3, 16, 128, 1024])
def test_posterior_is_finite_for_extreme_features(posterior, dtype, features):
    torch.manual_seed(9)
    module = posterior(features, 8).to(dtype)
    p = module.prior()
    for scale in (0, 1, 100, 1e4, -1e4):
        h = (scale * torch.randn(6, 8, dtype=dtype)).requires_grad_()
        q = module(h)
        values = elbo(draw(q, p, lambda z: z.sum(-1), 2))
        assert q.batch_shape == (6,) and q.event_shape == (features,)
        assert values.dtype == dtype and values.isfinite().all()
        assert (q.concentration <= 1e5).all()
        gradients = torch.autograd.grad(values.sum(), (h, *module.parameters()))
        assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_posterior_survives_copies_and_seeds(posterior):
    torch.manual_seed(10)
    module, other = posterior(4, 8), posterior(4, 8)
    other.load_state_dict(module.state_dict())
    h = torch.randn(5, 8)
    draws = []
    for each in (module, other, copy.deepcopy(module)):
        torch.manual_seed(11)
        draws.append(each(h).rsample((3,)))
    assert torch.equal(draws[0], draws[1]) and torch.equal(draws[0], draws[2])
    assert module.double().prior().rsample().dtype == F64


@pytest.mark.parametrize("features", [2, 16, 1024])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_posterior_starts_half_way_at_every_size(features, posterior):
    torch.manual_seed(12)
    q = posterior(features, 64)(torch.zeros(1, 64))
    assert 0.2 < q.mean_cosine.item() < 0.8


def test_variants_name_their_papers():
    found = [*vaebench_variants(), *PowerSphericalPlugin.vaebench_variants()]
    assert {v.name: v.reference.split()[-1] for v in found} == {
        "vmf": "1804.00891",
        "power-spherical": "2006.04437",
    }


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_no_feature_makes_the_concentration_vanish(posterior, size):
    torch.manual_seed(0)
    one = posterior(8, 4)
    towards_zero = -size * one.head.weight[-1].sign()
    assert one(towards_zero[None]).concentration.item() >= 0.99


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_fixed_concentration_has_a_constant_kl(posterior):
    torch.manual_seed(0)
    made = posterior(50, 6, concentration=80.0).double()
    q = made(10 * torch.randn(64, 6).double())
    kl = kl_divergence(q, made.prior())
    exact = kl_divergence(type(q)(direction(50), torch.tensor(80.0, dtype=F64)), made.prior())
    assert (kl - exact).abs().max() < 1e-12
    assert made.head.out_features == 50
    assert (q.concentration == 80).all()


def test_the_constant_of_the_von_mises_fisher_law_is_that_of_high_precision():
    made = VonMisesFisherPosterior(50, 6, concentration=80.0).double()
    kl = kl_divergence(made(torch.randn(3, 6).double()), made.prior())
    assert all(relative(value, reference(50, 80)[0]) < 1e-12 for value in kl)


@pytest.mark.parametrize("name", ["prior_matters", "parameters", "kl_weight"])
def test_a_constant_kl_is_paid_in_the_eyes_of_the_kit(name):
    fixed = partial(VonMisesFisherPosterior, concentration=80.0)
    next(check for check in testing.checks() if check.name == name)(Variant("fixed", fixed))


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_concentration_that_cannot_be_is_refused(posterior):
    for concentration in (-1.0, 1e6, math.nan):
        with pytest.raises(ValueError, match="lies in"):
            posterior(3, 6, concentration=concentration)
