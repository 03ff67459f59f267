"""Precision, recall, density and coverage: is a sample near the data, is the data near samples."""

from typing import NamedTuple

import torch
from torch import Tensor


class Neighbours(NamedTuple):
    """How two sets of features lie among each other; in a perfect model about 1 each.

    Attributes:
        precision: Share of samples inside a real image's ball.
        recall: Share of real images inside a sample's ball.
        density: Mean number of real balls around a sample, divided by k; may exceed 1.
        coverage: Share of real images with a sample inside their ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(real: Tensor, fake: Tensor, k: int = 5, chunk: int = 1000) -> Neighbours:
    """Compare features of real images (N, F) and samples (M, F) by k-nearest-neighbour balls.

    The ball of a point reaches to its k-th nearest neighbour in its own set. All four depend on
    N, M and k: compare at the same ones, N = M. Distances are in float64, a chunk of rows at
    once.

    Raises:
        ValueError: A set has no k + 1 points, or the dimensions differ.

    References:
        Kynkäänniemi et al. 2019, Improved Precision and Recall Metric, arXiv 1904.06991, eq. 1
        and 2; Naeem et al. 2020, Reliable Fidelity and Diversity Metrics, arXiv 2002.09797.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"Features {tuple(real.shape)} and {tuple(fake.shape)} do not compare.")
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{k} nearest neighbours need {k + 1} images on each side.")
    real, fake = real.double(), fake.double()
    real_radius, fake_radius = _radius(real, k, chunk), _radius(fake, k, chunk)
    balls = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    recalled, covered = [], []
    for rows, radius in zip(real.split(chunk), real_radius.split(chunk), strict=True):
        distance = torch.cdist(rows, fake)
        inside = distance < radius[:, None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distance < fake_radius).any(1))
    return Neighbours(
        precision=(balls > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=balls.double().mean().item() / k,
        coverage=torch.cat(covered).double().mean().item(),
    )


def _radius(points: Tensor, k: int, chunk: int) -> Tensor:
    """Distance (N,) of each point to its k-th nearest other: the nearest of all is itself."""
    rows = points.split(chunk)
    return torch.cat([torch.cdist(row, points).kthvalue(k + 1, dim=1).values for row in rows])
