"""Learning-rate schedules: functions of training progress in [0, 1] to a factor of the rate."""

import math
from collections.abc import Callable


def constant(progress: float) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine down to zero (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """Down to zero along a line."""
    return 1 - progress


def burda(progress: float) -> float:
    """10^(-i/7) for 3^i passes, i = 0 … 7, of 3280 (Burda et al. 2016, 1509.00519, sec. 5)."""
    passes = progress * sum(3**i for i in range(8))
    stage = min(7, int(math.log(2 * passes + 1, 3)))
    return 10 ** (-stage / 7)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "burda": burda,
}
