"""Moves that leave a tempered density invariant, at one gradient of the decoder a leapfrog."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

Density = Callable[[Tensor], tuple[Tensor, Tensor]]


class State(NamedTuple):
    """C chains for B images, with everything a move at any temperature needs.

    Attributes:
        v: Positions (C, B, D).
        start: log p0(v) (C, B), float64.
        start_gradient: Its gradient (C, B, D).
        end: log p(x, v) (C, B), float64.
        end_gradient: Its gradient (C, B, D).
        momentum: (C, B, D).
    """

    v: Tensor
    start: Tensor
    start_gradient: Tensor
    end: Tensor
    end_gradient: Tensor
    momentum: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """log p(x, v) - log p0(v) (C, B): what one unit of inverse temperature is worth."""
        return self.end - self.start

    def pick(self, chosen: Tensor, other: "State") -> "State":
        """The chains of `chosen` (C, B) from here, the rest from another state."""
        wide = chosen[..., None]
        return State(
            *(
                torch.where(wide if mine.ndim == 3 else chosen, mine, theirs)
                for mine, theirs in zip(self, other, strict=True)
            )
        )

    def take(self, chains: Tensor) -> "State":
        """For each image the chains numbered by `chains` (C, B)."""
        return State(
            *(
                part.gather(0, chains[..., None].expand_as(part) if part.ndim == 3 else chains)
                for part in self
            )
        )


class Path:
    """The densities p0^(1-b) p(x, ·)^b between a start and the joint density.

    Gradients of both ends are kept with the state: a new temperature costs no evaluation.

    Args:
        start: log p0 and gradient in v.
        end: log p(x, ·) and gradient in v; the decoder is in here.
    """

    def __init__(self, start: Density, end: Density) -> None:
        self._start = start
        self._end = end

    def state(self, v: Tensor, momentum: Tensor) -> State:
        """Evaluate both ends at v (C, B, D): one gradient of the decoder."""
        return State(v, *self._start(v), *self._end(v), momentum)


class Noise(NamedTuple):
    """What one move consumes: normal (C, B, D) and two uniforms (C, B)."""

    normal: Tensor
    accept: Tensor
    jitter: Tensor


@dataclass(frozen=True)
class Kernel:
    """Hamiltonian moves of `leapfrogs` steps, with fresh or persistent momentum.

    Attributes:
        leapfrogs: Leapfrog steps, each one gradient of the decoder.
        friction: The momentum decays by exp(-friction · path length) between moves; infinite for
            a fresh one each time.
        acceptance: The rate that the pilot tunes the step size for.
        jitter: Relative half-width of the random step size, against resonance.
        compiled: Let torch.compile make one program of a move, the decoder's gradient included.

    References:
        Neal 2011, MCMC using Hamiltonian dynamics, arXiv 1206.1901, sec. 3 and 5.3;
        Sohl-Dickstein & Culpepper 2012, Hamiltonian annealed importance sampling, arXiv 1205.1925.
    """

    leapfrogs: int
    friction: float
    acceptance: float
    jitter: float = 0.1
    compiled: bool = False

    def move(
        self, path: Path, state: State, beta: Tensor, step: Tensor, noise: Noise
    ) -> tuple[State, Tensor]:
        """Move the chains at inverse temperatures `beta` (B,) with step sizes `step` (B,).

        Returns:
            The new state and the probability of acceptance (C, B).
        """
        if not self.compiled:
            return self.traced_move(path, state, beta, step, noise)
        # One layout in memory whatever made the numbers, so that one program fits all moves.
        state, noise = State(*map(_packed, state)), Noise(*map(_packed, noise))
        validating = Distribution._validate_args  # which torch.compile changes for everybody
        try:
            return program()(self, path, state, _packed(beta), _packed(step), noise)
        except RuntimeError as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"The compiled step failed, leave `compile` out: {first}") from error
        finally:
            Distribution.set_default_validate_args(validating)

    def traced_move(
        self, path: Path, state: State, beta: Tensor, step: Tensor, noise: Noise
    ) -> tuple[State, Tensor]:
        """Make a move from plain tensor operations, which torch.compile can trace."""
        dtype = state.v.dtype
        hot, cold = (1 - beta).to(dtype)[:, None], beta.to(dtype)[:, None]
        step = (step * (1 + self.jitter * (2 * noise.jitter - 1))).to(dtype)[..., None]
        kept = torch.exp(-self.friction * self.leapfrogs * step)
        momentum = kept * state.momentum + (1 - kept.square()).clamp_min(0).sqrt() * noise.normal
        state = state._replace(momentum=momentum)
        new = state
        for _ in range(self.leapfrogs):
            force = hot * new.start_gradient + cold * new.end_gradient
            momentum = momentum + 0.5 * step * force
            new = path.state(new.v + step * momentum, momentum)
            force = hot * new.start_gradient + cold * new.end_gradient
            momentum = momentum + 0.5 * step * force
        new = new._replace(momentum=momentum)
        gain = _energy(new, beta) - _energy(state, beta)
        probability = torch.nan_to_num(gain, nan=-torch.inf).clamp_max(0).exp()
        flipped = state._replace(momentum=-state.momentum)
        return new.pick(noise.accept < probability, flipped), probability


@cache
def program() -> Any:
    """The compiled move, compiled anew for each kernel and decoder."""
    return torch.compile(Kernel.traced_move, dynamic=True)


def _packed(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def _energy(state: State, beta: Tensor) -> Tensor:
    kinetic = 0.5 * state.momentum.double().square().sum(-1)
    return (1 - beta) * state.start + beta * state.end - kinetic


KERNELS = {
    "hmc": Kernel(leapfrogs=3, friction=torch.inf, acceptance=0.65),
    "hais": Kernel(leapfrogs=1, friction=0.7, acceptance=0.75),
}
