"""How much an image has of edges and of noise: compare with real images only."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

#: ITU-R BT.601 luma, as in tf.image.rgb_to_grayscale.
LUMA = (0.2989, 0.587, 0.114)
#: Images at a time, for memory's sake.
_ROWS = 2048


def sharpness(images: Tensor) -> Tensor:
    """Variance (N,) of the Laplacian of each grey image, for images (N, C, H, W) in [0, 1].

    Values outside [0, 1] are clamped, borders left out. Neither direction is better: blur lowers
    it and noise of standard deviation s adds 20 s², so it is read beside that of real images, and
    on decoder means. Images in [-1, 1], as in the paper's table for CelebA, have four times the
    value.

    Raises:
        ValueError: The images are smaller than 3 × 3 or have other than one or three channels.

    References:
        Tolstikhin et al. 2018, Wasserstein Auto-Encoders, arXiv 1711.01558.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 3:
        raise ValueError(
            "Sharpness is defined for grey or colour images (N, 1 or 3, H, W) of at least 3 × 3 "
            f"pixels, not {tuple(images.shape)}."
        )
    return torch.cat([_sharpness(some) for some in images.split(_ROWS)])


def _sharpness(images: Tensor) -> Tensor:
    grey = images.clamp(0, 1)
    if images.shape[1] == 3:
        grey = (grey * grey.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    laplacian = grey.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return torch.var(conv2d(grey, laplacian), dim=(1, 2, 3), correction=0)
