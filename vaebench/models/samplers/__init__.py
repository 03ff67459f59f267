"""Samplers: distributions of codes that are fitted to a trained model's, in place of its prior.

A sampler is a function of codes (N, D) that returns a distribution of batch shape () and event
shape (D,): `sample` is asked of all, `log_prob` of those that are to have a likelihood.
"""

import inspect
from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.samplers.aggregate import aggregate
from vaebench.models.samplers.flow import maf
from vaebench.models.samplers.mixture import gmm, normal
from vaebench.models.samplers.two_stage import two_stage

Sampler = Callable[..., Distribution]
SAMPLERS: dict[str, Sampler] = {
    "gmm": gmm,
    "normal": normal,
    "maf": maf,
    "two-stage": two_stage,
    "aggregate": aggregate,
}


def fitted(sampler: Sampler, codes: Tensor, posteriors: Distribution) -> Distribution:
    """A sampler's distribution, on the device and in the precision of the codes.

    Args:
        sampler: The function.
        codes: A draw of each training image's posterior (N, D).
        posteriors: These posteriors, batch shape (N,), for a function that names them.

    Raises:
        ValueError: It is of another shape.
    """
    asked = "posteriors" in inspect.signature(sampler).parameters
    found = sampler(codes, posteriors=posteriors) if asked else sampler(codes)
    shapes = tuple(found.batch_shape), tuple(found.event_shape)
    if shapes != ((), tuple(codes.shape[1:])):
        raise ValueError(
            f"its distribution has batch shape {shapes[0]} and event shape {shapes[1]} instead of "
            f"() and {tuple(codes.shape[1:])}"
        )
    return found
