"""Annealed importance sampling of one set of images: a pilot that tunes, a run that estimates."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.kernels import Kernel, Noise, Path, State
from vaebench.evaluation.annealing.starts import Start
from vaebench.evaluation.annealing.streams import Streams
from vaebench.evaluation.annealing.weights import effective, log_mean_exp

_BLOCK = 16  # moves whose noise is drawn ahead, never a matter of how many images there are
_PILOT_CHAINS = 4


@dataclass(frozen=True)
class Schedule:
    """What a run takes from its pilot and keeps unchanged.

    Attributes:
        knots: Inverse temperatures (T, B) at which the pilot measured.
        speed: Standard deviation of the log ratio there (T, B): thermodynamic speed.
        log_step: Logarithm of the step size there (T, B).
    """

    knots: Tensor
    speed: Tensor
    log_step: Tensor

    def take(self, images: Tensor) -> "Schedule":
        """The schedules of some of the images."""
        return Schedule(self.knots[:, images], self.speed[:, images], self.log_step[:, images])

    def log_steps(self, betas: Tensor) -> Tensor:
        """Logarithms of the step sizes (N - 1, B) for the moves at betas[1:-1] of (N + 1, B)."""
        return interpolate(betas[1:-1], self.knots, self.log_step)

    def betas(self, steps: int) -> Tensor:
        """Inverse temperatures 0 … 1 (steps + 1, B), at equal thermodynamic distances.

        References:
            Gelman & Meng 1998, Simulating normalizing constants, Statistical Science 13(2), sec. 4;
            Grosse, Maddison & Salakhutdinov 2013, Annealing between distributions, sec. 3.
        """
        middle = 0.5 * (self.speed[1:] + self.speed[:-1]) * self.knots.diff(dim=0)
        travelled = torch.cat([torch.zeros_like(middle[:1]), middle.cumsum(0)])
        travelled = travelled / travelled[-1]
        even = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=self.knots.device)
        betas = interpolate(even[:, None].expand(-1, self.knots.shape[1]), travelled, self.knots)
        betas[0], betas[-1] = 0.0, 1.0
        return betas

    @property
    def length(self) -> Tensor:
        """Thermodynamic length of the path (B,)."""
        middle = 0.5 * (self.speed[1:] + self.speed[:-1]) * self.knots.diff(dim=0)
        return middle.sum(0)


@dataclass(frozen=True)
class Measured:
    """What a pilot measured at T inverse temperatures.

    Attributes:
        knots: Inverse temperatures (T, B).
        variance: Variance of the log ratio (T, B).
        log_step: Logarithm of the step size (T, B).
    """

    knots: Tensor
    variance: Tensor
    log_step: Tensor

    def at(self, knots: Tensor) -> "Measured":
        """This schedule at other inverse temperatures (S, B)."""
        variance, log_step = (
            interpolate(knots, self.knots, values) for values in (self.variance, self.log_step)
        )
        return Measured(knots, variance, log_step)

    def with_part(
        self, images: Tensor, other: "Measured", variance: Tensor, log_step: Tensor
    ) -> "Measured":
        """What it would be if in some images shares of the chains were like those of another."""
        other, mine = (
            other.at(self.knots[:, images]),
            Measured(self.knots, self.variance.clone(), self.log_step.clone()),
        )
        mine.variance[:, images] = torch.lerp(mine.variance[:, images], other.variance, variance)
        mine.log_step[:, images] = torch.lerp(mine.log_step[:, images], other.log_step, log_step)
        return mine

    def schedule(self) -> Schedule:
        """The schedule, smoothed, with no stretch passed over at a run."""
        speed = smoothed(self.variance, 5).sqrt()
        speed = speed + 0.1 * speed.mean(0) + 1e-6
        return Schedule(self.knots, speed, smoothed(self.log_step, 5))


def interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear interpolation at x (N, B) of values (T, B) at increasing knots (T, B)."""
    right = torch.searchsorted(knots.T.contiguous(), x.T.contiguous()).T
    right = right.clamp(1, len(knots) - 1)
    low, high = knots.gather(0, right - 1), knots.gather(0, right)
    part = ((x - low) / (high - low).clamp_min(1e-300)).clamp(0, 1)
    return values.gather(0, right - 1) * (1 - part) + values.gather(0, right) * part


def noise(streams: Streams, moves: int, like: Tensor) -> Iterator[Noise]:
    """The random numbers of each of the moves of chains like (C, B, D)."""
    chains, _, features = like.shape
    for begin in range(0, moves, _BLOCK):
        count = min(_BLOCK, moves - begin)
        normal = streams.normal(count, chains, features, dtype=like.dtype)
        uniform = streams.uniform(count, chains, 2)
        for k in range(count):
            yield Noise(normal[k], uniform[k, :, 0], uniform[k, :, 1])


def path_of(joint: Joint, start: Start) -> Path:
    """The path from a start to log p(x, ·), in the coordinates of the start."""
    white = start.whitening
    volume = white.log_volume

    def end(v: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = joint(white(v))
        return value + volume, white.pull(gradient)

    return Path(start, end)


def first_state(path: Path, start: Start, streams: Streams, chains: int) -> State:
    """Draws from the start with a fresh momentum."""
    v = start.sample(streams, chains)
    momentum = streams.normal(chains, v.shape[-1], dtype=v.dtype)
    return path.state(v, momentum)


def pilot(
    path: Path, start: Start, kernel: Kernel, streams: Streams, moves: int
) -> tuple[Measured, State, Tensor]:
    """Tune step sizes and measure the thermodynamic speed; the estimate makes no use of its chains.

    Four chains go along a sigmoid schedule. The step size of each image follows the kernel's rate
    of acceptance by stochastic approximation.

    Returns:
        What was measured, and the chains with their log-weights (C, B) at the end.
    """
    state = first_state(path, start, streams, _PILOT_CHAINS)
    batch, features = state.v.shape[1:]
    knots = sigmoid_schedule(moves, state.start)
    log_step = state.start.new_full((batch,), features**-0.25).log()
    log_weights = torch.zeros_like(state.start)
    variances, log_steps = [], []
    for k, numbers in enumerate(noise(streams, moves + 1, state.v)):
        if k:
            log_weights = log_weights + (knots[k] - knots[k - 1]) * state.log_ratio
        state, accepted = kernel.move(path, state, knots[k], log_step.exp(), numbers)
        log_step = log_step + (accepted.mean(0) - kernel.acceptance) * max(0.3, (k + 1) ** -0.5)
        variances.append(state.log_ratio.var(0).nan_to_num(0))
        log_steps.append(log_step)
    return Measured(knots, torch.stack(variances), torch.stack(log_steps)), state, log_weights


def smoothed(values: Tensor, width: int) -> Tensor:
    """Moving average of values (T, B) over `width` neighbours, fewer at the ends."""
    half = width // 2
    total = torch.cat([torch.zeros_like(values[:1]), values.cumsum(0)])
    index = torch.arange(len(values), device=values.device)
    low, high = (index - half).clamp_min(0), (index + half + 1).clamp_max(len(values))
    return (total[high] - total[low]) / (high - low)[:, None]


def sigmoid_schedule(steps: int, like: Tensor, radius: float = 4.0) -> Tensor:
    """Inverse temperatures 0 … 1 (steps + 1, B), dense at both ends.

    References:
        Wu et al. 2017, On the quantitative analysis of decoder-based generative models, app. A.
    """
    x = torch.linspace(-radius, radius, steps + 1, dtype=torch.float64, device=like.device)
    curve = x.sigmoid()
    curve = (curve - curve[0]) / (curve[-1] - curve[0])
    return curve[:, None].expand(-1, like.shape[-1])


def run(
    path: Path,
    state: State,
    kernel: Kernel,
    betas: Tensor,
    log_steps: Tensor,
    streams: Streams,
    *,
    resample: bool = False,
) -> tuple[Tensor, Tensor, State]:
    """Anneal chains from `state`; nothing is adapted on the way.

    Args:
        path: The densities between start and target.
        state: Draws from the start.
        kernel: The moves.
        betas: Inverse temperatures 0 … 1 (N + 1, B).
        log_steps: Logarithms of the step sizes at betas[1:-1] (N - 1, B).
        streams: Random numbers.
        resample: Resample an image's chains when their effective number falls below half.

    Returns:
        Log-weights (C, B), the mean acceptance (B,), and the chains at the end.
    """
    log_weights = (betas[1] - betas[0]) * state.log_ratio
    rate = torch.zeros_like(betas[0])
    moves = noise(streams, len(log_steps), state.v)
    for k, numbers in enumerate(moves):
        if resample:
            state, log_weights = resampled(state, log_weights, streams)
        state, accepted = kernel.move(path, state, betas[k + 1], log_steps[k].exp(), numbers)
        rate = rate + accepted.mean(0)
        log_weights = log_weights + (betas[k + 2] - betas[k + 1]) * state.log_ratio
    return log_weights, rate / max(1, len(log_steps)), state


def resampled(state: State, log_weights: Tensor, streams: Streams) -> tuple[State, Tensor]:
    """Systematic resampling of the images whose effective number is below half of the chains.

    References:
        Del Moral, Doucet & Jasra 2006, Sequential Monte Carlo samplers, sec. 3.
    """
    chains = len(log_weights)
    index = torch.arange(chains, device=log_weights.device)[:, None]
    position = (index + streams.uniform()) / chains
    edges = log_weights.softmax(0).cumsum(0)[:-1].T.contiguous()
    ancestors = torch.searchsorted(edges, position.T.contiguous(), right=True).T
    poor = effective(log_weights) < chains / 2
    mean = log_mean_exp(log_weights)
    state = state.take(torch.where(poor, ancestors, index))
    return state, torch.where(poor, mean, log_weights)
