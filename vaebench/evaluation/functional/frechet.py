r"""The Fréchet distance between features of two sets of images, and what it would be by chance.

Everything is in float64 and in symmetric form: no general matrix square root, no constant on the
diagonal, and hence no jump where there are fewer images than features.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Moments:
    """Mean (F,) and covariance (F, F) of n feature vectors, float64 on the CPU.

    Two sets of moments can be compared if they come from the same extractor.
    """

    mean: Tensor
    cov: Tensor
    n: int

    @property
    def deficient(self) -> bool:
        """Whether there are too few images for a covariance of full rank: bias dominates."""
        return self.n <= len(self.mean)


def moments(features: Tensor) -> Moments:
    """Mean and unbiased covariance of features (N, F).

    Raises:
        ValueError: There are fewer than two vectors, or not all numbers are finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"Moments need features (N ≥ 2, F), got {tuple(features.shape)}.")
    features = features.detach().cpu().double()
    if not features.isfinite().all():
        raise ValueError("Features are not finite: are all images?")
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1), len(features))


def frechet_distance(a: Moments, b: Moments) -> float:
    r"""Squared 2-Wasserstein distance between the Gaussians with moments a and b.

    .. math:: |\mu_a - \mu_b|^2 + \mathrm{tr}(S_a + S_b - 2 (S_a^{1/2} S_b S_a^{1/2})^{1/2})

    Zero up to rounding for equal moments; a value may be negative by that rounding (1e-12 of
    the traces, or 1e-7 where covariances lack full rank).

    Raises:
        ValueError: The sets differ in dimension, or one has fewer images than an eighth of it.

    References:
        Dowson & Landau 1982, doi 10.1016/0047-259X(82)90077-X; Heusel et al. 2017,
        arXiv 1706.08500, eq. 6.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"Features of {len(a.mean)} and {len(b.mean)} dimensions do not compare.")
    fewest = min(a.n, b.n)
    if 8 * fewest < len(a.mean):
        raise ValueError(
            f"{fewest} images are fewer than an eighth of the {len(a.mean)} feature dimensions: "
            "a Fréchet distance would measure their number."
        )
    values, vectors = torch.linalg.eigh(a.cov)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ b.cov @ root).clamp_min(0).sqrt().sum()
    shift = (a.mean - b.mean).square().sum()
    return (shift + a.cov.trace() + b.cov.trace() - 2 * overlap).item()


def floor(reference: Moments, n: float, m: float) -> float:
    r"""Expected Fréchet distance between n and m Gaussian vectors of one distribution.

    With the eigenvalues :math:`\lambda` of its covariance, to first order in 1/n and 1/m,

    .. math:: \left(\frac1n + \frac1m\right) \left(\sum_i \lambda_i + \frac12 \sum_{ij}
        \frac{\lambda_i \lambda_j (1 + [i = j])}{\lambda_i + \lambda_j}\right),

    so that no model can be expected to score below it. Holds for n and m well above F.

    Args:
        reference: Moments of the distribution, from as many images as there are.
        n: Number of images on one side.
        m: Number on the other; `math.inf` for known moments.
    """
    values = torch.linalg.eigvalsh(reference.cov).clamp_min(0)
    values = values[values > values[-1] * 1e-14]
    pairs = values[:, None] * values / (values[:, None] + values)
    spread = values.sum() + 0.5 * (pairs.sum() + pairs.diagonal().sum())
    return (1 / n + 1 / m) * spread.item()


def bootstrap(
    features: Tensor, real: Moments, *, draws: int = 200, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval for the Fréchet distance of a model, over the images that were drawn from it.

    Images are resampled with replacement, the real ones held fixed, as they are for every row of
    a table. A resampled set is a little farther from the real one than the set itself (its own
    floor); the draws are moved back by that, so that the interval is one for the distance at N
    images, not at infinitely many. It is too wide for a distance near its floor.

    Args:
        features: Features (N, F) of the model's images.
        real: Moments of the real ones.
        draws: Number of resampled sets.
        level: Probability of the interval.
        seed: Of the resampling.

    Returns:
        Lower and upper end.
    """
    generator = Generator().manual_seed(seed)
    count = len(features)
    distances = torch.empty(draws, dtype=torch.float64)
    for i in range(draws):
        rows = torch.randint(count, (count,), generator=generator)
        distances[i] = frechet_distance(moments(features[rows]), real)
    distances += frechet_distance(moments(features), real) - distances.mean()
    low, high = distances.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2]).double())
    return max(0.0, low.item()), high.item()


def extrapolate(
    features: Tensor, real: Moments, *, sizes: int = 8, repeats: int = 4, seed: int = 0
) -> float:
    """Fréchet distance of a model for infinitely many images of it (FID∞).

    Distances at subsets of sizes spread evenly in 1/N, from an eighth of the images (or twice
    the feature dimension) to all of them, are fitted by a line in 1/N that is read at zero. The
    bias of the real set stays.

    Args:
        features: Features (N, F) of the model's images.
        real: Moments of the real ones.
        sizes: Number of sizes.
        repeats: Number of random subsets of each size.
        seed: Of the subsets.

    Raises:
        ValueError: There are fewer images than four times the feature dimension.

    References:
        Chong & Forsyth 2020, Effectively Unbiased FID and Inception Score, arXiv 1911.07023.
    """
    count, dimension = features.shape
    if count < 4 * dimension:
        raise ValueError(
            f"Extrapolation needs {4 * dimension} images, four for each feature, and has {count}."
        )
    generator = Generator().manual_seed(seed)
    smallest = max(count // 8, 2 * dimension)
    inverse = torch.linspace(1 / count, 1 / smallest, sizes, dtype=torch.float64)
    distances = torch.zeros_like(inverse)
    for i, size in enumerate((1 / inverse).round().int().tolist()):
        for _ in range(repeats):
            rows = torch.randperm(count, generator=generator)[:size]
            distances[i] += frechet_distance(moments(features[rows]), real) / repeats
    inverse -= (offset := inverse.mean())
    slope = (inverse * distances).sum() / inverse.square().sum()
    return (distances.mean() - slope * offset).item()
