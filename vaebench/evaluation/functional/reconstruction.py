"""How far reconstructions are from their images, one number for each image."""

from typing import cast

import torch
from torch import Tensor

from vaebench.errors import UserError

#: Images at a time, for memory's sake; a multiple of those that SSIM compares at a time.
ROWS = 2000


def mse(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean squared error (N,) over channels and pixels, for images (N, C, H, W) in [0, 1]."""
    _check(images, reconstructions)
    parts = zip(images.split(ROWS), reconstructions.split(ROWS), strict=True)
    return torch.cat([(a - b).square().flatten(1).mean(1) for a, b in parts])


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in decibels, -10 log10(MSE) of each image.

    Infinite for an image that is reconstructed exactly.
    """
    return -10 * mse(images, reconstructions).log10()


def ssim(images: Tensor, reconstructions: Tensor, chunk: int = 100) -> Tensor:
    """Structural similarity (N,) at a Gaussian window of 11 × 11 pixels, 1 for equal images.

    The window reaches past the border of images smaller than itself, which mirror it: at 8 × 8
    the number says little.

    Raises:
        ValueError: The images are smaller than 6 × 6 pixels.
        UserError: torchmetrics does not import.

    References:
        Wang et al. 2004, Image Quality Assessment, doi 10.1109/TIP.2003.819861, eq. 13.
    """
    _check(images, reconstructions)
    if min(images.shape[2:]) < 6:
        raise ValueError(f"SSIM needs at least 6 × 6 pixels, not {tuple(images.shape[2:])}.")
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"torchmetrics does not import ({error}): reinstall torch, torchvision and "
            "torchmetrics together, of versions that match."
        ) from error
    parts = []
    for a, b in zip(images.split(chunk), reconstructions.split(chunk), strict=True):
        part = structural_similarity_index_measure(b, a, reduction="none", data_range=1.0)
        parts.append(cast(Tensor, part).reshape(-1))
    return torch.cat(parts)


def _check(images: Tensor, reconstructions: Tensor) -> None:
    if images.ndim != 4 or images.shape != reconstructions.shape:
        raise ValueError(
            "Expected images and reconstructions of one shape (N, C, H, W), got "
            f"{tuple(images.shape)} and {tuple(reconstructions.shape)}."
        )
