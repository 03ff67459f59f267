"""A number with what it means: value, error, and what it depends on; or the reason for none."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


class Unavailable(Exception):
    """A number that cannot be computed honestly; the text is the reason that the table shows."""


@dataclass(frozen=True)
class Estimate:
    """A metric's value for one cell.

    Attributes:
        value: The number.
        n: Number of images.
        se: Standard error of the mean over images, where the value is one.
        depends: What the number depends on.
        per_image: Values (N,) of the first N test images, for paired comparisons.
        warning: Why the number deserves caution, or nothing.
    """

    value: float
    n: int
    se: float | None = None
    depends: dict[str, Any] = field(default_factory=dict)
    per_image: Tensor | None = None
    warning: str | None = None


def mean(values: Tensor, warning: str | None = None, **depends: Any) -> Estimate:
    """The mean of per-image values (N,) with its standard error over images."""
    values = values.detach().double().cpu()
    n = len(values)
    se = values.std().item() / math.sqrt(n) if n > 1 else None
    return Estimate(values.mean().item(), n, se, depends, values, warning)
