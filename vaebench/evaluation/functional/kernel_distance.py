"""The kernel distance between features (KID), unbiased at any number of images."""

import math

import torch
from torch import Tensor


def kernel_distance(a: Tensor, b: Tensor, chunk: int = 1000) -> tuple[float, float]:
    r"""Squared maximum mean discrepancy of features (N, F) and (M, F), and its standard error.

    The kernel is :math:`(x \cdot y / F + 1)^3`; the estimate is the U-statistic over all pairs,
    in float64, and may be negative. The standard error is that of its projection on single
    images: too small where the distance is near zero.

    Returns:
        The estimate (not multiplied by 1000) and its standard error.

    Raises:
        ValueError: A set has fewer than two images, or the dimensions differ.

    References:
        Bińkowski et al. 2018, Demystifying MMD GANs, arXiv 1801.01401, eq. 4 and sec. 4.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"Features {tuple(a.shape)} and {tuple(b.shape)} do not compare.")
    a, b = a.double(), b.double()
    aa, bb = _within(a, chunk), _within(b, chunk)
    ab, ba = _between(a, b, chunk), _between(b, a, chunk)
    value = aa.mean() + bb.mean() - ab.mean() - ba.mean()
    spread = (aa - ab).var() / len(a) + (bb - ba).var() / len(b)
    return value.item(), 2 * math.sqrt(spread.item())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _between(x: Tensor, y: Tensor, chunk: int) -> Tensor:
    """Mean kernel (N,) of each x with all of y."""
    return torch.cat([_kernel(rows, y).mean(1) for rows in x.split(chunk)])


def _within(x: Tensor, chunk: int) -> Tensor:
    """Mean kernel (N,) of each x with all others."""
    total = torch.cat([_kernel(rows, x).sum(1) for rows in x.split(chunk)])
    own = (x.square().mean(1) + 1) ** 3
    return (total - own) / (len(x) - 1)
