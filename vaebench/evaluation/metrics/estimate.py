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
        detail: What else was seen on the way, as plain data: numbers, lists, histograms.
    """

    value: float
    n: int
    se: float | None = None
    depends: dict[str, Any] = field(default_factory=dict)
    per_image: Tensor | None = None
    warning: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def mean(
    values: Tensor,
    warning: str | None = None,
    detail: dict[str, Any] | None = None,
    **depends: Any,
) -> Estimate:
    """The mean of per-image values (N,) with its standard error over images."""
    values = values.detach().double().cpu()
    n = len(values)
    se = values.std().item() / math.sqrt(n) if n > 1 else None
    return Estimate(values.mean().item(), n, se, depends, values, warning, detail or {})


def histogram(values: Tensor, bins: int = 20) -> dict[str, list[float]]:
    """Counts (bins,) and edges (bins + 1,) of values, as plain data."""
    values = values.detach().double().cpu().flatten()
    counts, edges = values.histogram(bins)
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def quantiles(values: Tensor) -> dict[str, float]:
    """The 5, 25, 50, 75 and 95 % quantiles of values, by name."""
    levels = (5, 25, 50, 75, 95)
    ordered = values.detach().double().cpu().flatten().sort().values
    ranks = [round(level / 100 * (len(ordered) - 1)) for level in levels]
    return {f"q{level:02}": ordered[rank].item() for level, rank in zip(levels, ranks, strict=True)}
