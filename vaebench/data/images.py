"""Images in memory, and what reads a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from vaebench.data.dataset import Dataset, subset
from vaebench.models.items import Kind


@dataclass(frozen=True)
class Split:
    """Stored pixels (N, C, H, W), uint8 in {0, …, L-1}, and what is known of them.

    Attributes:
        pixels: Stored levels.
        labels: A class (N,) for each, where there are classes.
        factors: What each was made from (N, F), integers counted from zero, where that is known.
        given: What each is modelled given, where there is a condition: float32 (N, G), G = 0 if it
            is the same for all training images, or a picture of stored levels (N, C, H, W').
    """

    pixels: Tensor
    labels: Tensor | None = None
    factors: Tensor | None = None
    given: Tensor | None = None

    lengths: ClassVar[None] = None

    @property
    def stored(self) -> Tensor:
        """The pixels."""
        return self.pixels

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Images(Dataset):
    """Pictures in memory: three disjoint splits and L, the number of stored levels.

    `given` may also be ``left``: the left half of the pictures, whose right halves are the pixels.

    Example:
        >>> import torch
        >>> grey = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
        >>> Images(Split(grey), Split(grey[:2]), Split(grey[:3]), levels=17).shape
        (1, 8, 8)
    """

    kind: ClassVar[Kind] = "pictures"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


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
        read: From a request to the images, or to a `Text`; raises UserError where they cannot be
            had. What it takes by keyword beside the request is chosen as ``name[option=value]``.
        likelihood: Observation model: ``bernoulli``, ``gaussian``, …; see `vaebench list`.
        binarise: ``dynamic`` or ``fixed`` with a likelihood of binary pixels, else ``none``.
        backbone: Encoder and decoder.
        extractor: Features for `fid_<extractor>` and its kin.
        latent: D, the latent dimensions.
        shuffled: Whether the images of each split are in random order as they are read; otherwise
            they are permuted, so that the first N are a random N.
        inverted: Whether pictures are dark on white, to be stored as their negatives.
        path: What is read where a path has to stand behind the name, ``PATH`` in ``folder:PATH``;
            empty where none has to.

    Example:
        >>> import torch
        >>> def read(request):
        ...     random = torch.Generator().manual_seed(0)
        ...     parts = (
        ...         Split(torch.randint(2, (n, 1, 8, 8), generator=random, dtype=torch.uint8))
        ...         for n in (80, 10, 10)
        ...     )
        ...     return Images(*parts, levels=2)
        >>> source = Source("noise, 8×8", "80 train, 10 validation, 10 test", read, latent=2)
        >>> len(source.read(Request(Path("data"))).train)
        80
    """

    title: str
    split: str
    read: Callable[..., Dataset]
    likelihood: str = "bernoulli"
    binarise: str = "dynamic"
    backbone: str = "resnetv2"
    extractor: str = "inception"
    latent: int = 32
    shuffled: bool = False
    inverted: bool = False
    path: str = ""


def negative(split: Split, levels: int) -> Split:
    """The images with dark and light exchanged."""
    return replace(split, pixels=levels - 1 - split.pixels)


def holdout(split: Split, count: int) -> tuple[Split, Split]:
    """The split without its last `count` images, and those."""
    return subset(split, slice(-count)), subset(split, slice(-count, None))


def stratified(labels: Sequence[int], count: int) -> np.ndarray:
    """A mask (N,) that holds out `count` items at random, each class in proportion.

    A class of two or more items has at least one of them on either side, even where classes are
    more than `count`; classes of one item count as one class together.
    """
    rng = np.random.default_rng(0)
    _, of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _, of, sizes = np.unique(
        np.where(sizes[of] > 1, of, -1), return_inverse=True, return_counts=True
    )
    share = count * sizes / len(labels)
    least, most = np.minimum(1, sizes - 1), sizes - 1
    taken = np.clip(np.floor(share).astype(int), least, most)
    # Largest remainders first, ties at random.
    shuffled = rng.permutation(len(sizes))
    for chosen in shuffled[np.argsort((taken - share)[shuffled], kind="stable")]:
        if taken.sum() < count and taken[chosen] < most[chosen]:
            taken[chosen] += 1
    mask = np.zeros(len(labels), dtype=bool)
    for each, number in enumerate(taken):
        mask[rng.permutation(np.flatnonzero(of == each))[:number]] = True
    return mask
