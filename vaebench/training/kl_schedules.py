"""Schedules of the KL's weight: from the epochs spent to a weight in [0, 1]."""

import math
from collections.abc import Callable

from vaebench.config.names import parse
from vaebench.errors import UserError, unknown
from vaebench.registry.options import chosen, keywords

#: Epochs spent to a weight.
Schedule = Callable[[float], float]


def linear(warmup: int, epochs: int) -> Schedule:
    """Up along a line during the warm-up (Sønderby et al. 2016, arXiv 1602.02282, sec. 2.2)."""
    return lambda spent: spent / warmup if spent < warmup else 1.0


def sigmoid(warmup: int, epochs: int, steepness: float = 10.0) -> Schedule:
    """Up along a logistic curve during the warm-up, shifted and scaled to run from 0 to 1.

    Args:
        warmup: Epochs of the warm-up.
        epochs: Epochs of the training.
        steepness: What the curve's argument changes by during the warm-up.

    Raises:
        UserError: There is no warm-up, or the steepness is not from 0.01 to 1000.

    References:
        Bowman et al. 2016, Generating Sentences from a Continuous Space, arXiv 1511.06349, fig. 2.
    """
    if not warmup:
        raise UserError("--kl-schedule sigmoid is the shape of a warm-up: give --kl-warmup too.")
    if not 0.01 <= steepness <= 1000:
        raise UserError(f"sigmoid[steepness] is from 0.01 to 1000, not {steepness:g}.")

    def weight(spent: float) -> float:
        if spent >= warmup:
            return 1.0
        height = math.tanh(steepness * (spent / warmup - 0.5) / 2)
        return 0.5 + height / (2 * math.tanh(steepness / 4))

    return weight


def cyclical(warmup: int, epochs: int, cycles: int = 4, share: float = 0.5) -> Schedule:
    """M times up along a line, each in a share R of the cycle's epochs, and 1 for the others.

    Step t of T has the weight min(1, τ / R) with τ = mod(t - 1, T / M) / (T / M).

    Args:
        warmup: 0: every cycle has its own.
        epochs: Epochs of the training.
        cycles: M.
        share: R, in (0, 1).

    Raises:
        UserError: There is a warm-up beside it, or a cycle has less than an epoch at full weight.

    References:
        Fu et al. 2019, Cyclical Annealing Schedule, arXiv 1903.10145, eq. 6 and 7.
    """
    if warmup:
        raise UserError("--kl-schedule cyclical warms up in every cycle: leave out --kl-warmup.")
    if not (cycles >= 1 and 0 < share < 1 and (1 - share) * epochs >= cycles):
        raise UserError(
            f"cyclical[cycles={cycles},share={share:g}] leaves no epoch of full weight in each of "
            f"its cycles: (1 - share) · {epochs} epochs must be as many as the cycles or more."
        )
    return lambda spent: min(1.0, spent / epochs * cycles % 1 / share)


KL_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "linear": linear,
    "sigmoid": sigmoid,
    "cyclical": cyclical,
}


def kl_schedule(spelled: str, warmup: int, epochs: int) -> Schedule:
    """The schedule spelled ``linear``, ``cyclical[cycles=2]``, …, for a training of some epochs.

    Raises:
        UserError: It does not exist, has no such option, or does not fit the epochs.
    """
    name, options = parse(spelled)
    if name not in KL_SCHEDULES:
        raise unknown("KL schedule", name, KL_SCHEDULES)
    found = KL_SCHEDULES[name]
    return found(warmup, epochs, **chosen(name, options, keywords(found, 2)))
