"""Gradient estimators of the importance-weighted bound, against quadrature on a scalar model.

p(z) = N(0, 1), x | z ~ N(a z, 1), x = 1, q = N(m, s²). With Gauss-Hermite nodes as the noise of a
batch of draws, weighted sums over the batch are expectations: nothing here is random.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.iwae import dreg, importance_weighted, sticking_the_landing, vaebench_variants

from vaebench import iwae
from vaebench.models.draw import Draw, Fixed


def nodes(samples: int, order: int = 32) -> tuple[Tensor, Tensor]:
    """Noise (K, N, 1) and weights (N,) such that sums over N are expectations over K normals."""
    x, w = np.polynomial.hermite_e.hermegauss(order)
    noise = torch.tensor(list(itertools.product(x, repeat=samples))).T.unsqueeze(-1)
    weights = torch.tensor([math.prod(c) for c in itertools.product(w, repeat=samples)])
    return noise, weights / weights.sum()


def leaves(a: float = 1.3, m: float = 0.4, s: float = 0.8) -> tuple[Tensor, Tensor, Tensor]:
    made = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a, m, s)]
    return made[0], made[1], made[2]


def table(noise: Tensor, a: Tensor, m: Tensor, s: Tensor) -> Draw:
    batch = noise.shape[1]

    def log_px(z: Tensor, a: Tensor = a) -> Tensor:
        return Normal(a * z[..., 0], 1.0).log_prob(torch.ones((), dtype=torch.float64))

    q = Independent(Normal(m.expand(batch, 1), s.expand(batch, 1)), 1)
    held = Independent(Normal(m.detach().expand(batch, 1), s.detach().expand(batch, 1)), 1)
    p = Independent(Normal(torch.zeros(1, dtype=torch.float64), 1.0), 1)
    z = m + s * noise
    fixed = Fixed(held.log_prob, lambda z: log_px(z, a.detach()))
    return Draw(q, p, z, q.log_prob(z), p.log_prob(z), log_px(z), None, fixed)


@pytest.mark.parametrize(("samples", "bound"), [(1, -1.918938533), (2, -1.653473787)])
def test_bound_of_the_reference(samples: int, bound: float) -> None:
    noise, weights = nodes(samples, 60)
    value = importance_weighted(table(noise, *leaves(1.0, 0.0, 1.0)))

    assert (weights * value).sum().item() == pytest.approx(bound, abs=1e-8)


@pytest.mark.parametrize("estimator", ["plain", "dreg"])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_value_is_the_bound(samples: int, estimator: str) -> None:
    mine = table(nodes(samples, 8)[0], *leaves())

    torch.testing.assert_close(importance_weighted(mine, estimator=estimator), iwae(mine))


@pytest.mark.parametrize("kl_weight", [1.0, 0.5, 0.1, 0.0])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_dreg_has_the_gradient_of_the_bound(samples: int, kl_weight: float) -> None:
    noise, weights = nodes(samples)
    found = []
    for objective in (iwae, dreg):
        parameters = leaves()
        mine = table(noise, *parameters)._replace(kl_weight=kl_weight)
        value = (weights * objective(mine)).sum()
        found.append(torch.stack(torch.autograd.grad(value, parameters)))

    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=0)
    assert (found[0].abs() > 1e-3).all()


def test_squared_weights_matter() -> None:
    """The same estimator with w in place of w² is off by far more than the tolerance above."""
    noise, weights = nodes(2)
    parameters = leaves()
    mine = table(noise, *parameters)
    assert mine.fixed is not None
    wrong = iwae(mine._replace(log_qz=mine.fixed.log_qz(mine.z)))
    (gradient,) = torch.autograd.grad((weights * wrong).sum(), parameters[1], retain_graph=True)
    (exact,) = torch.autograd.grad((weights * iwae(mine)).sum(), parameters[1])

    assert abs(gradient.item() - exact.item()) > 0.05


def test_stl_has_the_gradient_of_the_elbo() -> None:
    noise, weights = nodes(1)
    found = []
    for objective in (iwae, sticking_the_landing):
        parameters = leaves()
        value = (weights * objective(table(noise, *parameters))).sum()
        found.append(torch.stack(torch.autograd.grad(value, parameters)))

    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize(("estimator", "samples"), [("dreg", 1), ("dreg", 4), ("stl", 1)])
def test_no_noise_at_the_posterior(estimator: str, samples: int) -> None:
    """With a = 1 the posterior is N(1/2, 1/2): every single draw has a gradient of zero."""
    torch.manual_seed(0)
    noise = torch.randn(samples, 50, 1, dtype=torch.float64)
    for chosen, largest in ((estimator, 1e-12), ("plain", None)):
        a, m, s = leaves(1.0, 0.5, math.sqrt(0.5))
        loc, scale = (v.detach().expand(50, 1).clone().requires_grad_() for v in (m, s))
        wide = table(noise, a, m, s)
        q = Independent(Normal(loc, scale), 1)
        z = loc + scale * noise
        held = Independent(Normal(loc.detach(), scale.detach()), 1)
        mine = wide._replace(
            q=q,
            z=z,
            log_qz=q.log_prob(z),
            log_pz=wide.p.log_prob(z),
            log_px=Normal(z[..., 0], 1.0).log_prob(torch.ones((), dtype=torch.float64)),
            fixed=Fixed(held.log_prob, lambda z: z[..., 0]),
        )
        grads = torch.stack(
            torch.autograd.grad(importance_weighted(mine, estimator=chosen).sum(), [loc, scale])
        )
        if largest is None:
            assert grads.abs().max().item() > 0.1
        else:
            assert grads.abs().max().item() < largest


def test_dreg_leaves_other_terms_of_the_loss_alone() -> None:
    noise = torch.randn(3, 5, 1, dtype=torch.float64)
    parameters = leaves()
    mine = table(noise, *parameters)
    both = torch.autograd.grad(
        (dreg(mine) + mine.z.square().sum((0, -1))).sum(), parameters[1:], retain_graph=True
    )
    apart = [
        torch.autograd.grad(value.sum(), parameters[1:], retain_graph=True)
        for value in (dreg(mine), mine.z.square())
    ]

    for total, one, other in zip(both, *apart, strict=True):
        torch.testing.assert_close(total, one + other)


def test_values_need_no_gradient() -> None:
    with torch.no_grad():
        mine = table(nodes(2, 8)[0], *leaves())
        torch.testing.assert_close(dreg(mine), iwae(mine))


def test_what_cannot_be_is_refused() -> None:
    mine = table(nodes(2, 4)[0], *leaves())
    with pytest.raises(ValueError, match="stl is biased with 2 draws: set samples=1 or use dreg"):
        importance_weighted(mine, estimator="stl")
    with pytest.raises(ValueError, match="estimator is one of plain, dreg, stl, not 'vimco'"):
        importance_weighted(mine, estimator="vimco")
    with pytest.raises(ValueError, match=r"Draw\.fixed"):
        importance_weighted(mine._replace(fixed=None), estimator="dreg")


def test_variant() -> None:
    (variant,) = vaebench_variants()

    assert (variant.name, variant.samples, dict(variant.deviations)) == ("iwae", 8, {})
