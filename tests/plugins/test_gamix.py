"""GAMIX: the aggregate's KL, its floor, and the variance regulariser."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.gamix import (
    aggregate_bound,
    aggregate_kl,
    vaebench_variants,
    variance_penalty,
)
from vaebench_plugins.gmm import GaussianMixture

from vaebench import Gaussian
from vaebench.models.draw import Draw, draw
from vaebench.models.objectives import elbo
from vaebench.registry.catalogue import catalogue


def table(loc: Tensor, scale: Tensor) -> Draw:
    """One draw for each of B inputs, with log p(x|z) = -|z|²."""
    features = loc.shape[-1]
    p = Independent(Normal(loc.new_zeros(features), 1.0), 1)
    return draw(Independent(Normal(loc, scale), 1), p, lambda z: -z.square().sum(-1), 1)


def standardised(batch: int, features: int) -> Tensor:
    torch.manual_seed(0)
    loc = torch.randn(batch, features, dtype=torch.float64)
    return (loc - loc.mean(0)) / loc.std(0, correction=0)


def test_zero_for_means_of_mean_zero_and_variance_one() -> None:
    loc = standardised(10, 4)

    assert aggregate_kl(table(loc, torch.rand_like(loc) + 0.1)).item() == pytest.approx(
        0, abs=1e-14
    )


def test_is_the_kl_of_the_moments() -> None:
    torch.manual_seed(1)
    loc, scale = 3 * torch.randn(20, 5).double() + 1, torch.rand(20, 5).double() + 0.1
    aggregate = Normal(loc.mean(0), loc.var(0, correction=0).sqrt())
    whole = Normal(loc.mean(0), (loc.var(0, correction=0) + scale.square().mean(0)).sqrt())
    p = Normal(torch.zeros(5).double(), 1.0)

    for corrected, moments in ((False, aggregate), (True, whole)):
        torch.testing.assert_close(
            aggregate_kl(table(loc, scale), corrected=corrected),
            torch.distributions.kl_divergence(moments, p).sum(),
        )


@pytest.mark.parametrize(("batch", "floor"), [(10, 0.1103), (100, 0.0101), (256, 0.0039)])
def test_expected_floor_depends_on_the_batch(batch: int, floor: float) -> None:
    torch.manual_seed(2)
    loc = torch.randn(batch, 10_000, dtype=torch.float64)
    mine = aggregate_kl(table(loc, torch.ones_like(loc))).item() / 10_000

    assert mine == pytest.approx(floor, abs=1e-4 + 5 * floor / math.sqrt(10_000))


def test_has_no_gradient_for_the_variances_unless_corrected() -> None:
    loc = standardised(10, 3) * 2
    log_variance = torch.zeros(10, 3).double().requires_grad_()
    q = table(loc, (log_variance / 2).exp())

    assert not aggregate_kl(q).requires_grad
    (gradient,) = torch.autograd.grad(aggregate_kl(q, corrected=True), log_variance)
    assert (gradient != 0).all()


def test_objective_is_reconstruction_less_the_aggregate_kl_for_each_input() -> None:
    q = table(standardised(6, 2) * 1.5, torch.ones(6, 2).double())
    value = aggregate_bound(q)

    assert value.shape == (6,)
    torch.testing.assert_close(value, q.log_px[0] - aggregate_kl(q))
    torch.testing.assert_close(
        aggregate_bound(q._replace(kl_weight=0.25)), q.log_px[0] - aggregate_kl(q) / 4
    )


def test_penalty() -> None:
    scale = torch.tensor([[1.0, 1.0], [2.0, 0.5]]).double()
    mine = variance_penalty(table(torch.zeros(2, 2).double(), scale))

    expected = 0.1 * ((4 - 1 - math.log(4)) + (0.25 - 1 - math.log(0.25)))
    torch.testing.assert_close(mine, torch.tensor([0.0, expected]).double())


def test_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="use batches of two or more"):
        aggregate_bound(table(torch.zeros(1, 2), torch.ones(1, 2)))


def test_equal_means_are_finite_in_value_and_gradient() -> None:
    loc = torch.zeros(4, 2, requires_grad=True)
    value = aggregate_bound(table(loc, torch.ones(4, 2))).sum()

    assert value.isfinite()
    assert torch.autograd.grad(value, loc)[0].isfinite().all()


def test_is_declared_no_bound() -> None:
    (variant,) = vaebench_variants()

    assert set(variant.deviations) == {"bound"}
    assert set(variant.penalties) == {"variance"}


def test_without_its_parts_it_is_the_gaussian() -> None:
    q = table(standardised(6, 2) * 1.5, torch.ones(6, 2).double())
    torch.testing.assert_close(aggregate_bound(q, aggregate=False), elbo(q))
    bare = catalogue().variant("gamix[aggregate=false,weight=0]")
    (penalty,) = bare.penalties.values()
    assert not penalty(q).any()


def test_components_make_it_a_mixture_for_each_input() -> None:
    torch.manual_seed(0)
    h = torch.randn(5, 7)
    mixture = catalogue().variant("gamix[components=3]").posterior(2, 7)
    assert isinstance(mixture(h), GaussianMixture)
    assert isinstance(catalogue().variant("gamix").posterior(2, 7), Gaussian)
