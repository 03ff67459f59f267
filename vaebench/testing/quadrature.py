"""Integrals of a density over line, plane and circle, to rounding where it is smooth."""

import math
from itertools import product

import torch
from torch import Tensor

from vaebench.testing.references import Reference

#: Densities are evaluated at this many points at a time.
CHUNK = 16384


def integral(law: Reference, space: str, pilot: Tensor) -> tuple[float, float] | None:
    """The integral of the density with an error estimate; None where no rule here resolves it.

    The error is the largest difference between the trapezoidal rules on every point, every other,
    every third and so on, wherever they start. A jump shows in some of them.

    Args:
        law: The density.
        space: Where the density lives, as `space_of` says.
        pilot: Draws (N, D) that show where on it.
    """
    size = pilot.shape[-1]
    if size == 2 and space == "sphere":
        nodes, weights = _circle()
        shape: tuple[int, ...] = (-1,)
    elif size <= 2 and space == "space":
        nodes, weights = _space(pilot)
        shape = (-1,) if size == 1 else (math.isqrt(len(nodes)),) * 2
    else:
        return None
    parts = [law.log_prob(part) for part in nodes.split(CHUNK)]
    values = (torch.cat(parts).exp() * weights).reshape(shape)
    rules = [
        float(values[tuple(slice(i, None, stride) for i in start)].sum()) * stride ** values.dim()
        for stride in ((1, 2, 3, 5, 7) if values.dim() == 1 else (1, 2, 3))
        for start in product(range(stride), repeat=values.dim())
    ]
    total, error = rules[0], max(rules) - min(rules)
    return None if total == 0 or error > 0.03 * abs(total) else (total, error)


def _circle(points: int = 30030) -> tuple[Tensor, Tensor]:
    angle = torch.arange(points, dtype=torch.float64) * (2 * math.pi / points)
    return torch.stack([angle.cos(), angle.sin()], 1), torch.full_like(angle, 2 * math.pi / points)


def _space(pilot: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes centre + root sinh(u) over a grid of u, so that also heavy tails are covered."""
    size = pilot.shape[-1]
    centre, spread = pilot.mean(0), pilot.std(0)
    v = (pilot - centre) / spread
    root = torch.linalg.cholesky(v.T @ v / len(v) + 1e-9 * torch.eye(size, dtype=v.dtype))
    reach, points = (18.0, 40001) if size == 1 else (14.0, 241)
    u = torch.linspace(-reach, reach, points, dtype=pilot.dtype)
    step = float(u[1] - u[0])
    grid = torch.cartesian_prod(*[u] * size).reshape(-1, size)
    weights = (step * grid.cosh()).prod(1) * root.diagonal().prod() * spread.prod()
    return centre + (grid.sinh() @ root.T) * spread, weights
