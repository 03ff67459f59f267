"""Stein's direction and where its draws come to rest, and the objective around it."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.stein import Implicit, amortised, direction

from vaebench.models.draw import Draw, Fixed, draw, fixed
from vaebench.registry.catalogue import catalogue


def test_linear_kernel_rests_at_the_exact_moments_of_a_gaussian() -> None:
    """Six particles in the plane: mean and covariance of the target to rounding."""
    torch.manual_seed(0)
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[1.5, 0.6], [0.6, 0.8]], dtype=torch.float64)
    z = torch.randn(1, 6, 2, dtype=torch.float64)
    for _ in range(2000):
        slope = -(z - mean) @ torch.linalg.inv(covariance)
        z = z + 0.05 * direction(z, slope, "linear")
    torch.testing.assert_close(z[0].mean(0), mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(z[0].T.cov(correction=0), covariance, rtol=0, atol=1e-12)


def push(ratio: float, samples: int, own: bool, inputs: int) -> Tensor:
    """How the objective pulls at the scale of iid draws whose variance is `ratio` of the truth's.

    The target is N(0, I) in the plane, made of a likelihood and a prior.
    """
    scale = torch.tensor(math.sqrt(ratio)).requires_grad_()
    z = scale * torch.randn(samples, inputs, 2)
    p = Independent(Normal(torch.zeros(2), math.sqrt(2)), 1)

    def log_px(z: Tensor) -> Tensor:
        return -z.square().sum(-1) / 4

    nothing = torch.full(z.shape[:2], math.nan)
    table = Draw(p, p, z, nothing, p.log_prob(z), log_px(z), fixed=Fixed(log_px, log_px))
    (slope,) = torch.autograd.grad(amortised(table, self=own).mean(), scale)
    return slope


@pytest.mark.parametrize(
    ("samples", "own", "ratio"),
    [
        (5, True, 0.247),
        (20, True, 0.556),
        (100, True, 0.837),
        (5, False, 1.089),
        (20, False, 0.978),
        (100, False, 0.994),
    ],
)
def test_independent_draws_rest_at_these_shares_of_the_true_variance(
    samples: int, own: bool, ratio: float
) -> None:
    """At .05 less than the share the objective widens the draws, at .05 more it narrows them."""
    torch.manual_seed(samples)
    inputs = 40_000 // samples
    assert push(ratio - 0.05, samples, own, inputs) > 0
    assert push(ratio + 0.05, samples, own, inputs) < 0


def test_a_single_draw_climbs_to_the_mode() -> None:
    slope = torch.randn(3, 1, 2)
    assert torch.equal(direction(torch.randn(3, 1, 2), slope), slope)
    with pytest.raises(ValueError, match="samples=2"):
        direction(torch.randn(3, 1, 2), slope, own=False)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("own", [True, False])
def test_direction_is_the_sum_of_its_definition(kernel: str, own: bool) -> None:
    torch.manual_seed(2)
    z, slope = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    found = direction(z, slope, kernel, own, temperature=0.7)
    for b in range(2):
        square = torch.cdist(z[b], z[b]).square()
        width = square.flatten().quantile(0.5) / math.log(5)
        for j in range(4):
            phi = torch.zeros(3, dtype=torch.float64)
            for i in range(4):
                if i == j and not own:
                    continue
                at = z[b, i].clone().requires_grad_()
                there = z[b, j]
                k = at @ there + 1
                if kernel == "rbf":
                    k = (-(at - there).square().sum() / width).exp()
                phi += k.detach() * slope[b, i] + 0.7 * torch.autograd.grad(k, at)[0]
            torch.testing.assert_close(found[b, j], phi / (4 if own else 3))


def table(samples: int = 6) -> tuple[Implicit, Draw, Tensor]:
    """A draw for three inputs, with its features, under log p(x|z) = -|z - 1|²."""
    torch.manual_seed(4)
    made, h = Implicit(2, 5).double(), torch.randn(3, 5).double().requires_grad_()

    def log_px(z: Tensor) -> Tensor:
        return -(z - 1).square().sum(-1)

    return made, draw(made(h), made.prior(), log_px, samples, fixed=fixed(made, h, [], log_px)), h


def test_the_value_is_the_expected_joint_density_and_the_draws_follow_the_direction() -> None:
    _, found, h = table()
    value = amortised(found)
    torch.testing.assert_close(value, (found.log_px + found.log_pz).mean(0))
    slope = -2 * (found.z - 1) - found.z
    phi = direction(found.z.detach().transpose(0, 1), slope.detach().transpose(0, 1))
    expected = torch.autograd.grad((phi.transpose(0, 1) * found.z).sum() / 6, h, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), h), expected)
    with torch.no_grad():
        detached = found._replace(z=found.z.detach())
        torch.testing.assert_close(amortised(detached), value)


def test_a_warm_up_weighs_prior_and_entropy_alike() -> None:
    _, found, h = table()
    value = amortised(found._replace(kl_weight=0.25))
    torch.testing.assert_close(value, (found.log_px + 0.25 * found.log_pz).mean(0))
    slope = (-2 * (found.z - 1) - 0.25 * found.z).detach().transpose(0, 1)
    phi = direction(found.z.detach().transpose(0, 1), slope, temperature=0.25)
    expected = torch.autograd.grad((phi.transpose(0, 1) * found.z).sum() / 6, h, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), h), expected)


def test_draws_have_no_density_and_all_parameters_move_them() -> None:
    made, found, _ = table()
    assert found.log_qz.isnan().all()
    amortised(found).sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in made.parameters())


def test_what_cannot_be_is_refused() -> None:
    _, found, _ = table()
    with pytest.raises(ValueError, match="kernel is one of rbf, linear"):
        amortised(found, kernel="cosine")
    with pytest.raises(ValueError, match=r"Draw\.fixed"):
        amortised(found._replace(fixed=None))
    with pytest.raises(ValueError, match="width >= 1"):
        Implicit(2, 5, width=0)


def test_the_self_term_is_an_option() -> None:
    variant = catalogue().variant("stein[self=false,kernel=linear]")
    assert variant.name == "stein[kernel=linear,self=false]"
    _, found, _ = table()
    torch.testing.assert_close(variant.objective(found), amortised(found, "linear", False))
