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


#: Points nearer than this share of their typical distance from the middle are one point.
_SAME = 1e-5


def neighbours(real: Tensor, fake: Tensor, k: int = 5, chunk: int = 1000) -> Neighbours:
    """Compare features of real images (N, F) and samples (M, F) by k-nearest-neighbour balls.

    The ball of a point reaches to its k-th nearest distinct neighbour in its own set, so that an
    image which is there k + 1 times keeps a ball; copies share one. Fewer than k + 1 distinct
    samples have no balls. All four depend on N, M and k: compare at the same ones, N = M.
    Distances are in float64, a chunk of rows at once.

    Raises:
        ValueError: A set has no k + 1 points, the real one no k + 1 distinct ones, or the
            dimensions differ.

    References:
        Kynkäänniemi et al. 2019, Improved Precision and Recall Metric, arXiv 1904.06991, eq. 1
        and 2; Naeem et al. 2020, Reliable Fidelity and Diversity Metrics, arXiv 2002.09797.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"Features {tuple(real.shape)} and {tuple(fake.shape)} do not compare.")
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{k} nearest neighbours need {k + 1} images on each side.")
    real, fake = real.double(), fake.double()
    (centres, own), (samples, _) = _distinct(real, chunk), _distinct(fake, chunk)
    if len(centres) <= k:
        raise ValueError(f"{k} nearest neighbours need {k + 1} real images that differ.")
    radius = _radius(centres, k, chunk)
    sample_radius = _radius(samples, k, chunk)
    balls = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    covered = []
    for rows, reach in zip(centres.split(chunk), radius.split(chunk), strict=True):
        inside = torch.cdist(rows, fake) < reach[:, None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
    recalled = [(torch.cdist(rows, samples) < sample_radius).any(1) for rows in real.split(chunk)]
    return Neighbours(
        precision=(balls > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=balls.double().mean().item() / k,
        coverage=torch.cat(covered)[own].double().mean().item(),
    )


def _distinct(points: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The points that differ (U, F), and which of them each point (N,) is."""
    middle = points - points.mean(0)
    apart = _SAME * middle.norm(dim=1).mean()
    first = torch.cat(
        [(torch.cdist(rows, middle) <= apart).int().argmax(1) for rows in middle.split(chunk)]
    )
    while not first.equal(first[first]):
        first = first[first]
    kept, own = first.unique(return_inverse=True)
    return points[kept], own


def _radius(points: Tensor, k: int, chunk: int) -> Tensor:
    """Distance (U,) of each point to its k-th nearest other; 0 where there are not so many."""
    if len(points) <= k:
        return points.new_zeros(len(points))
    rows = points.split(chunk)
    return torch.cat([torch.cdist(row, points).kthvalue(k + 1, dim=1).values for row in rows])
