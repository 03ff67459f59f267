"""Are samples copies, do they leave out classes, and does the bound know what it has not seen?"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vaebench.compute.random import generator


def auroc(inside: Tensor, outside: Tensor) -> float:
    """Probability that a score (N,) is above another (M,), ties counted half."""
    return _above(inside, outside).mean().item()


def _above(scores: Tensor, others: Tensor) -> Tensor:
    """For each score (N,) the share of the others (M,) that it exceeds, ties counted half."""
    scores, others = scores.double().cpu(), others.double().cpu().sort().values
    below = torch.searchsorted(others, scores)
    reached = torch.searchsorted(others, scores, right=True)
    return (below + reached).double() / 2 / len(others)


def auroc_error(inside: Tensor, outside: Tensor) -> float | None:
    """Standard error of `auroc` over both sets of scores.

    None where one has a single score, or where they do not overlap: that tells of no spread.

    References:
        DeLong et al. 1988, Comparing the areas under two or more correlated ROC curves,
        doi 10.2307/2531595, eq. 5.
    """
    if min(len(inside), len(outside)) < 2:
        return None
    spread = _above(inside, outside).var() / len(inside)
    spread = spread + _above(outside, inside).var() / len(outside)
    return math.sqrt(spread.item()) or None


def nearest(queries: Tensor, points: Tensor, chunk: int = 500) -> tuple[Tensor, Tensor]:
    """Distance (M,) of queries (M, F) to the nearest of points (N, F), and its index (M,)."""
    points = points.double()
    found = [torch.cdist(rows.double(), points).min(1) for rows in queries.split(chunk)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def shares(logits: Tensor) -> Tensor:
    """The share (classes,) of images that each class wins, from logits (N, classes)."""
    return logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(logits)


def missed(samples: Tensor, real: Tensor, share: float = 0.1) -> int:
    """Number of classes that samples have less than a tenth as often as real images.

    Args:
        samples: Shares (classes,) among samples.
        real: Shares (classes,) among real images.
        share: What a tenth is.
    """
    return int((samples < share * real).sum())


def shuffled(pixels: Tensor, seed: int = 0) -> Tensor:
    """Images (N, C, H, W) with the pixels of each in random order: only their values are kept."""
    flat = pixels.flatten(2)
    order = torch.rand(len(flat), 1, flat.shape[2], generator=generator(seed, "shuffled")).argsort(
        -1
    )
    return flat.gather(2, order.expand_as(flat)).reshape(pixels.shape)


def photographs(count: int, shape: tuple[int, int, int], levels: int, seed: int = 0) -> Tensor:
    """Stored pixels (count, C, H, W) cut from the two photographs that scikit-learn brings.

    Squares of a quarter of the height are taken at random places and averaged down.

    Args:
        count: Number of pictures.
        shape: Channels (1 or 3), height and width.
        levels: Number of grey levels.
        seed: Of the places.
    """
    from sklearn.datasets import load_sample_images

    photos = [torch.tensor(p).permute(2, 0, 1).float() for p in load_sample_images().images]
    channels, *size = shape
    random = generator(seed, "photographs")
    cuts = []
    for i in range(count):
        photo = photos[i % len(photos)]
        side = photo.shape[1] // 4
        top, left = (
            int(torch.randint(length - side + 1, (), generator=random))
            for length in photo.shape[1:]
        )
        cut = photo[None, :, top : top + side, left : left + side]
        cuts.append(interpolate(cut, size=size, mode="area"))
    pictures = torch.cat(cuts) / 255
    if channels == 1:
        pictures = pictures.mean(1, keepdim=True)
    return (pictures * (levels - 1)).round().to(torch.uint8)
