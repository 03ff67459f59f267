"""A second estimate from a wider start: what one start has missed another may not."""

from torch import Tensor

from vaebench.evaluation.annealing.chains import first_state, path_of, pilot, run
from vaebench.evaluation.annealing.joint import Joint
from vaebench.evaluation.annealing.settings import Settings
from vaebench.evaluation.annealing.signs import HOLE
from vaebench.evaluation.annealing.starts import Start
from vaebench.evaluation.annealing.streams import Random
from vaebench.evaluation.annealing.weights import log_mean_exp, standard_error

_WIDER = 1.5
_LEAPFROGS = 128
_SAME = 0.35  # nats between the estimates
_SURE = 0.2  # nats of standard error of the second one
_UNCOVERED = 0.25  # share of the posterior that lies in holes of the wider start


def confirmed(
    joint: Joint, start: Start, log_likelihood: Tensor, random: Random, settings: Settings
) -> Tensor:
    """Whether chains from Gaussians of 1.5 times the width say what those of the start said (B,).

    Where the posterior is longer than the Gaussians, as bananas and funnels are, the wider ones
    reach parts that the others do not, and the estimate grows or scatters.

    Args:
        joint: log p(x, u), B images.
        start: Where the chains began that gave the estimate.
        log_likelihood: The estimate (B,), nats.
        random: Random streams.
        settings: Of the estimating run.
    """
    kernel, chains = settings.moves, settings.chains
    wide = start.wider(_WIDER)
    path = path_of(joint, wide)
    measured, _, _ = pilot(path, wide, kernel, random("wider pilot"), settings.pilot_moves)
    schedule = measured.schedule()
    betas = schedule.betas(max(1, _LEAPFROGS // kernel.leapfrogs))
    streams = random("wider run")
    state = first_state(path, wide, streams, chains)
    weights, _, ends = run(path, state, kernel, betas, schedule.log_steps(betas), streams)
    value = log_mean_exp(weights)
    uncovered = (weights.softmax(0) * (ends.log_ratio > value + HOLE)).sum(0)
    near = (value - log_likelihood).abs() < _SAME
    return near & (standard_error(weights) < _SURE) & (uncovered < _UNCOVERED)
