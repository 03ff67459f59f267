"""The published Epanechnikov VAE: density of the convolution, draws, and the heuristic penalty."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch.distributions import Uniform
from vaebench_plugins.epanechnikov_paper import (
    STEP,
    KernelOverBox,
    KernelPosterior,
    published,
    vaebench_variants,
)

from vaebench.models.draw import draw

CASES = [(0.7, 1.3, 0.1), (0.2, 0.05, 1.0), (-0.4, 0.9, 2 * STEP * 0.9), (0.0, 0.3, 10.0)]


def law(loc: float, scale: float, length: float) -> KernelOverBox:
    return KernelOverBox(
        torch.tensor(loc, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64), length
    )


def density(q: KernelOverBox, z: float) -> float:
    return q.log_prob(torch.tensor(z, dtype=torch.float64)).exp().item()


@pytest.mark.parametrize(("loc", "scale", "length"), CASES)
def test_density_is_the_convolution(loc: float, scale: float, length: float) -> None:
    q = law(loc, scale, length)
    centre, width = STEP * loc, STEP * scale
    reach = width + length / 2
    breaks = [centre - abs(width - length / 2), centre + abs(width - length / 2)]

    def whole(f: object) -> float:
        return quad(f, centre - reach, centre + reach, points=breaks, epsabs=1e-12)[0]

    assert whole(lambda z: density(q, z)) == pytest.approx(1, abs=1e-8)
    for z in (centre, centre + 0.6 * reach, centre - 0.97 * reach):
        inside = (
            max(-1, (z - centre - length / 2) / width),
            min(1, (z - centre + length / 2) / width),
        )
        mass = quad(lambda u: 0.75 * (1 - u * u), *inside)[0]
        assert density(q, z) == pytest.approx(mass / length, rel=1e-9)
    assert density(q, centre + 1.001 * reach) == 0
    assert whole(lambda z: (z - centre) ** 2 * density(q, z)) == pytest.approx(
        q.variance.item(), rel=1e-6
    )


@pytest.mark.parametrize(("loc", "scale", "length"), CASES[:2])
def test_draws_follow_the_density(loc: float, scale: float, length: float) -> None:
    torch.manual_seed(0)
    q = law(loc, scale, length)
    z = q.sample((20_000,))
    reach = STEP * scale + length / 2
    points = torch.linspace(-reach, reach, 20_001, dtype=torch.float64) + STEP * loc
    heights = q.log_prob(points).exp()
    cdf = torch.cumulative_trapezoid(heights, points)

    def at(x: object) -> object:
        return torch.cat([torch.zeros(1), cdf])[torch.searchsorted(points, torch.as_tensor(x))]

    assert kstest(z.numpy(), lambda x: at(x).numpy()).pvalue > 1e-5  # type: ignore[attr-defined]


def test_objective_is_the_published_one() -> None:
    torch.manual_seed(0)
    made = KernelPosterior(3, 4, length=0.5)
    h = torch.randn(10, 4)
    table = draw(made(h), made.prior(), lambda z: -z.square().sum(-1), 1)
    r = made(h).base_dist.scale

    torch.testing.assert_close(
        published(table), table.log_px[0] - 3 * 0.5 / (5 * 10) * (1 / r).sum(-1)
    )


def test_penalty_shrinks_with_the_batch_and_ignores_the_centre() -> None:
    made = KernelPosterior(3, 4)
    h = torch.randn(1, 4)

    def penalty(batch: int) -> torch.Tensor:
        q = made(h.expand(batch, 4))
        table = draw(q, made.prior(), lambda z: z.new_zeros(z.shape[:-1]), 1)
        return -published(table)

    torch.testing.assert_close(penalty(2)[0], 4 * penalty(8)[0])
    penalty(2).sum().backward()
    assert made.head.bias.grad is not None
    assert (made.head.bias.grad[:3] == 0).all()
    assert (made.head.bias.grad[3:] != 0).all()


def test_prior_is_the_box_and_the_draws_leave_it() -> None:
    made = KernelPosterior(3, 4, length=0.5)
    p = made.prior()
    z = made(torch.randn(8, 4)).sample((50,))

    assert isinstance(p.base_dist, Uniform)
    assert p.event_shape == (3,)
    assert p.log_prob(torch.full((3,), 0.2)).item() == pytest.approx(3 * math.log(2), rel=1e-6)
    assert (p.log_prob(z) == -math.inf).any()
    (variant,) = vaebench_variants()
    assert set(variant.deviations) == {"bound", "support"}


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="positive side"):
        KernelPosterior(3, 4, length=0.0)
