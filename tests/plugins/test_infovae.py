"""InfoVAE and WAE: MMD² against closed forms, and the criteria's members."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from vaebench_plugins.infovae import SCALES, discrepancy, information, squared_mmd, transport

from tests.cells import cell, digits
from vaebench import elbo
from vaebench.models.draw import Draw, draw
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit


def table(batch: int = 6, features: int = 2, samples: int = 1) -> Draw:
    torch.manual_seed(0)
    loc = torch.randn(batch, features, dtype=torch.float64)
    p = Independent(Normal(torch.zeros(features).double(), 1.0), 1)
    q = Independent(Normal(loc, 0.5), 1)
    return draw(q, p, lambda z: -z.square().sum(-1), samples)


def expected(variance: float, square: float, size: int, width: float) -> float:
    """E exp(-d²/2h²) for d with mean of that square and so much variance in each dimension."""
    return (width / (width + variance)) ** (size / 2) * math.exp(-square / (2 * (width + variance)))


@pytest.mark.parametrize(
    ("size", "shift", "variance", "truth"),
    [(2, 1.0, 1.0, 0.221199217), (2, 0.5, 0.25, 0.160355596), (16, 0.5, 0.25, 0.195813633)],
)
def test_the_estimate_of_gaussians_has_its_closed_form_as_mean(size, shift, variance, truth):
    square = size * shift**2
    closed = (
        expected(2 * variance, 0, size, size)
        + expected(2, 0, size, size)
        - 2 * expected(variance + 1, square, size, size)
    )
    assert closed == pytest.approx(truth, abs=1e-9)
    torch.manual_seed(1)
    found = torch.stack(
        [
            squared_mmd(
                shift + math.sqrt(variance) * torch.randn(20, size, dtype=torch.float64),
                torch.randn(20, size, dtype=torch.float64),
                "rbf",
            )
            for _ in range(1000)
        ]
    )
    assert abs(found.mean().item() - closed) < 4 * found.std().item() / math.sqrt(1000)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_equal_laws_have_an_estimate_of_mean_zero_even_for_two_draws(kernel):
    torch.manual_seed(2)
    pairs = torch.randn(1000, 2, 2, 3, dtype=torch.float64)
    found = torch.stack([squared_mmd(x, y, kernel) for x, y in pairs])
    assert abs(found.mean().item()) < 4 * found.std().item() / math.sqrt(1000)
    assert found.std() > 0.1


def test_inverse_multiquadrics_by_hand():
    x, y = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.0], [3.0]]).double()

    def k(distance: float) -> float:
        return sum(2 * s / (2 * s + distance**2) for s in SCALES)

    by_hand = k(1) + k(3) - (k(0) + k(3) + k(1) + k(2)) / 2
    assert squared_mmd(x, y, "imq").item() == pytest.approx(by_hand, rel=1e-12)
    assert squared_mmd(x / 2, y / 2, "imq", 0.25).item() == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_order_of_the_draws_does_not_matter(kernel):
    torch.manual_seed(3)
    x, y = torch.randn(2, 9, 4, dtype=torch.float64)
    mixed = squared_mmd(x[torch.randperm(9)], y[torch.randperm(9)], kernel)
    torch.testing.assert_close(mixed, squared_mmd(x, y, kernel))


def test_what_cannot_be_compared_is_refused():
    x = torch.zeros(3, 2)
    for args, message in (
        ((x[:1], x), "batches of two or more"),
        ((x, x, "linear"), "imq, rbf"),
        ((x, x, "rbf", 0.0), "positive"),
    ):
        with pytest.raises(ValueError, match=message):
            squared_mmd(*args)
    with pytest.raises(ValueError, match="batches of two or more"):
        transport(table(1))


def test_the_elbo_is_a_member_and_so_is_the_wasserstein_autoencoder():
    q = table()
    assert torch.equal(information(q), elbo(q))
    assert not discrepancy(q, alpha=0.0, weight=1.0).any()
    assert torch.equal(information(q, alpha=1.0), q.log_px[0])
    values = []
    for term in (lambda: discrepancy(q, 1.0, 7.0, "imq"), lambda: transport(q, 7.0)):
        torch.manual_seed(4)
        values.append(term())
    assert torch.equal(*values)


def test_the_weight_is_that_of_the_papers_criterion():
    q, values = table(), []
    for alpha, weight in ((0.0, 3.0), (0.5, 2.5), (1.0, 2.0)):
        torch.manual_seed(5)
        values.append(discrepancy(q, alpha, weight))
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(values[0], values[2])
    torch.manual_seed(5)
    torch.testing.assert_close(2 * squared_mmd(q.z[0], q.p.sample((6,)), "rbf"), values[0][0])


def weights(plugin: str) -> dict[str, Tensor]:
    made = build(cell(plugin=plugin, epochs=1), catalogue().variant(plugin), digits())
    fit(made, lambda row, validated: None)
    return made.model.state_dict()


def test_training_of_the_member_that_is_the_elbo_is_the_gaussians_to_the_bit():
    plain, member = weights("gaussian"), weights("infovae[weight=1]")
    assert all(torch.equal(member[name], value) for name, value in plain.items())
