"""Each kernel leaves the tempered density alone: chains that start in it stay in it."""

import math

import pytest
import torch
from torch import Tensor

from vaebench.evaluation.annealing.kernels import KERNELS, Kernel, Noise, Path, State

F64 = torch.float64
CHAINS = 20_000
BETA = 0.4


def logistic(v: Tensor) -> Tensor:
    """Log-density of three independent logistic variables, whose ranks are v.sigmoid()."""
    return (-v - 2 * torch.nn.functional.softplus(-v)).sum(-1)


def normal(v: Tensor) -> Tensor:
    return -0.5 * v.square().sum(-1)


def with_gradient(density):
    def both(v: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            v = v.detach().requires_grad_()
            value = density(v)
            (gradient,) = torch.autograd.grad(value.sum(), v)
        return value.detach(), gradient

    return both


def unevenness(kernel: Kernel, step: float, moves: int, accept_all: bool = False) -> float:
    """Kolmogorov-Smirnov distance of the ranks after some moves, in units of 1/sqrt(chains).

    At inverse temperature b the path between a normal and g^(1/b) / normal^((1-b)/b) is g.
    """
    generator = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=F64)

    def gaussian(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=F64)

    path = Path(
        with_gradient(normal),
        with_gradient(lambda v: (logistic(v) - (1 - BETA) * normal(v)) / BETA),
    )
    state: State = path.state(uniform(CHAINS, 1, 3).logit(), gaussian(CHAINS, 1, 3))
    beta, steps = torch.full((1,), BETA, dtype=F64), torch.full((1,), step, dtype=F64)
    for _ in range(moves):
        accept = uniform(CHAINS, 1) * (0 if accept_all else 1)
        numbers = Noise(gaussian(CHAINS, 1, 3), accept, uniform(CHAINS, 1))
        state, _ = kernel.move(path, state, beta, steps, numbers)
    ranks = state.v.sigmoid().reshape(-1, 3).sort(0).values
    even = torch.arange(1, CHAINS + 1, dtype=F64)[:, None] / CHAINS
    return (ranks - even).abs().max().item() * math.sqrt(CHAINS)


@pytest.mark.parametrize("step", [0.5, 1.7])
@pytest.mark.parametrize("name", ["hmc", "hais"])
def test_kernel_keeps_its_density(name: str, step: float) -> None:
    """2.4 is exceeded by chance once in 20,000 of the three coordinates."""
    assert unevenness(KERNELS[name], step, moves=8) < 2.4


@pytest.mark.parametrize("name", ["hmc", "hais"])
def test_without_rejection_it_would_not(name: str) -> None:
    assert unevenness(KERNELS[name], 1.7, moves=8, accept_all=True) > 5


@pytest.mark.parametrize("name", ["hmc", "hais"])
def test_gradients_of_a_move(name: str) -> None:
    """A move costs its leapfrogs and no more."""
    calls = 0

    def end(v: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        return with_gradient(logistic)(v)

    path = Path(with_gradient(normal), end)
    zeros = torch.zeros(4, 2, 3, dtype=F64)
    state = path.state(zeros, zeros)
    calls = 0
    half = torch.full((4, 2), 0.5, dtype=F64)
    kernel = KERNELS[name]
    kernel.move(path, state, half[0], half[0], Noise(zeros + 1, half, half))
    assert calls == kernel.leapfrogs


def test_a_diverging_move_is_rejected() -> None:
    def end(v: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.where(v.norm(dim=-1) < 1, -v.square().sum(-1), torch.nan)
        return value, torch.full_like(v, torch.nan).where(value.isnan()[..., None], -2 * v)

    path = Path(with_gradient(normal), end)
    zeros = torch.zeros(4, 2, 3, dtype=F64)
    one = torch.ones(4, 2, dtype=F64)
    state, accepted = KERNELS["hmc"].move(
        path, path.state(zeros, zeros), one[0], 9 * one[0], Noise(zeros + 5, 0 * one, one)
    )
    assert (state.v == 0).all() and (accepted == 0).all()
