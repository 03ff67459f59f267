"""Images in memory: splits, their hash, and what reads a data set."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Stored pixels (N, C, H, W), uint8 in {0, …, L-1}, and labels (N,) where there are any."""

    pixels: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Images:
    """A data set in memory: three disjoint splits and L, the number of stored levels.

    `outside` holds the images of a class that all three splits lack, where one is held out.
    """

    train: Split
    validation: Split
    test: Split
    levels: int = 256
    outside: Split | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    def hash(self) -> str:
        """A digest of every pixel that is used, in its order and split."""
        digest = hashlib.sha256(str(self.levels).encode())
        splits = [self.train, self.validation, self.test]
        for split in splits if self.outside is None else [*splits, self.outside]:
            digest.update(str(tuple(split.pixels.shape)).encode())
            digest.update(split.pixels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Request:
    """Where to look for a data set: folder, leave to download, and side length in pixels."""

    root: Path
    download: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Source:
    """A data set's reader and its defaults.

    Attributes:
        title: What it is, for `vaebench list`.
        split: How many images each split holds, and which ones.
        read: From a request to the images; raises UserError where they cannot be had.
        likelihood: Observation model: ``bernoulli``, ``gaussian``, ``laplace``, ``logistic``.
        binarise: ``dynamic`` or ``fixed`` with the Bernoulli likelihood, else ``none``.
        backbone: Encoder and decoder.
        extractor: Features for `fid_<extractor>` and its kin.
        latent: D, the latent dimensions.
    """

    title: str
    split: str
    read: Callable[[Request], Images]
    likelihood: str = "bernoulli"
    binarise: str = "dynamic"
    backbone: str = "resnetv2"
    extractor: str = "inception"
    latent: int = 32


def holdout(split: Split, count: int) -> tuple[Split, Split]:
    """The split without its last `count` images, and those."""
    labels = split.labels
    return (
        Split(split.pixels[:-count], None if labels is None else labels[:-count]),
        Split(split.pixels[-count:], None if labels is None else labels[-count:]),
    )


def stack(pictures: Any, size: int, mode: str) -> Tensor:
    """PIL pictures, centre-cropped to a square and resized, as one tensor of stored pixels."""
    from PIL import Image

    rows = []
    for picture in pictures:
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        small = picture.convert(mode).resize((size, size), Image.Resampling.BICUBIC, box=box)
        rows.append(torch.from_numpy(np.array(small)).reshape(size, size, -1).permute(2, 0, 1))
    return torch.stack(rows)
