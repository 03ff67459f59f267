"""The planar flow: invertible whatever the encoder says, with the determinant that it reports."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian
from vaebench_plugins.planar import LEAST, MOST, PlanarFlow, PlanarPosterior, solved

from vaebench import Gaussian


def flow(features: int, steps: int = 3, seed: int = 0, gain: float = 2.0) -> PlanarFlow:
    torch.manual_seed(seed)
    made = PlanarPosterior(features, 4, steps).double()
    return made(gain * torch.randn(2, 4).double())


@pytest.mark.parametrize("features", [1, 2, 7])
def test_density_by_inversion_is_that_of_the_draws(features: int) -> None:
    q = flow(features)
    z, log_q = q.rsample_and_log_prob((50,))
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-9, atol=1e-9)


def test_the_density_is_that_of_the_map_by_its_jacobian() -> None:
    q = flow(3)
    noise = torch.randn(2, 3).double()

    def through(start: Tensor) -> Tensor:
        z = start
        for t in range(3):
            bend = torch.tanh((q.w[:, t] * z).sum(-1) + q.b[:, t])
            z = z + q.u[:, t] * bend[:, None]
        return z

    start = q.base.mean + q.base.stddev * noise
    for row in range(2):
        by_start = jacobian(through, start)[row, :, row]
        expected = q.base.log_prob(start)[row] - torch.linalg.slogdet(by_start)[1]
        found = q.log_prob(through(start))[row]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("inner", [-50.0, -1.5, -0.2, 0.0, 3.0])
def test_every_step_can_be_inverted(inner: float) -> None:
    """Directions against w, which would fold space, are turned back."""
    w = torch.tensor([[[0.6, -0.8]]], dtype=torch.float64)
    u = inner * w + torch.tensor([0.8, 0.6]).double()
    q = PlanarFlow(Gaussian(2, 1).double()(torch.zeros(1, 1).double()), w, u, torch.zeros(1, 1))
    assert q.slope.item() > -1 + LEAST * 0.99
    if inner == 0:
        torch.testing.assert_close(q.u, u, atol=1e-7, rtol=0)
    z = 3 * torch.randn(200, 1, 2).double()
    moved = z + q.u[:, 0] * torch.tanh((w[:, 0] * z).sum(-1))[..., None]
    order = (w[:, 0] * z).sum(-1).argsort(0)[:, 0]
    assert ((w[:, 0] * moved).sum(-1)[order].diff(dim=0) > 0).all()


def test_the_root_and_its_gradient() -> None:
    after = torch.tensor([-4.0, 0.3, 9.0]).double().requires_grad_()
    slope = torch.tensor([-0.95, 0.0, 30.0]).double().requires_grad_()
    b = torch.tensor([0.2, -3.0, 1.0]).double().requires_grad_()
    found = solved(after, slope, b)
    torch.testing.assert_close(found + slope * torch.tanh(found + b), after, rtol=1e-12, atol=1e-12)
    assert gradcheck(solved, (after, slope, b))


def test_no_steps_are_the_diagonal_gaussian() -> None:
    made = PlanarPosterior(4, 5, 0)
    gaussian = Gaussian(4, 5)
    gaussian.load_state_dict(made.base.state_dict())
    h, z = torch.randn(3, 5), torch.randn(3, 4)
    assert torch.equal(made(h).log_prob(z), gaussian(h).log_prob(z))
    with pytest.raises(ValueError, match="steps >= 0"):
        PlanarPosterior(4, 5, -1)


def test_what_the_encoder_says_is_bounded() -> None:
    q = PlanarPosterior(16, 4)(1e6 * torch.ones(1, 4))
    assert q.w.abs().max() <= MOST / 4 and q.b.abs().max() <= MOST
    assert q.u.isfinite().all()
