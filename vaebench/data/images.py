"""Images in memory: splits, their hash, and what reads a data set."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


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

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Images:
    """A data set in memory: three disjoint splits and L, the number of stored levels.

    `outside` holds the images of a class that all three splits lack, where one is held out.
    `notes` are sentences on what was read, passed over and converted, for people.
    `factors` names the columns of the splits' factors, where there are any.
    `given` says what the images are modelled given: ``label``, ``left`` (the left half of the
    pictures, whose right halves are the pixels), or in the words of a reader; empty for nothing.
    `labelled` is the number of training images whose labels training may see, None for none.
    `classes` are the labels of training in the order of columns, where these are given or seen.

    Example:
        >>> grey = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
        >>> Images(Split(grey), Split(grey[:2]), Split(grey[:3]), levels=17).shape
        (1, 8, 8)
    """

    train: Split
    validation: Split
    test: Split
    levels: int = 256
    outside: Split | None = None
    notes: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    given: str = ""
    classes: tuple[int, ...] = ()
    labelled: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    def hash(self) -> str:
        """A digest of every pixel that is used, in its order and split.

        Conditions, and labels that training may see, are used too.
        """
        digest = hashlib.sha256(str(self.levels).encode())
        splits = [self.train, self.validation, self.test]
        for split in splits if self.outside is None else [*splits, self.outside]:
            digest.update(str(tuple(split.pixels.shape)).encode())
            digest.update(split.pixels.contiguous().numpy().data)
            for known in self._known(split):
                digest.update(f"{known.dtype} {tuple(known.shape)}".encode())
                digest.update(known.contiguous().numpy().tobytes())
        if self.given or self.labelled is not None:
            digest.update(repr((self.given, self.classes, self.labelled)).encode())
        return digest.hexdigest()[:16]

    def _known(self, split: Split) -> list[Tensor]:
        """What a split's images are used with, beside their pixels."""
        labels = None if self.labelled is None else split.labels
        return [each for each in (split.given, labels) if each is not None]


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
        read: From a request to the images; raises UserError where they cannot be had. What it
            takes by keyword beside the request is chosen as ``name[option=value]``.
        likelihood: Observation model: ``bernoulli``, ``gaussian``, …; see `vaebench list`.
        binarise: ``dynamic`` or ``fixed`` with a likelihood of binary pixels, else ``none``.
        backbone: Encoder and decoder.
        extractor: Features for `fid_<extractor>` and its kin.
        latent: D, the latent dimensions.
        shuffled: Whether the images of each split are in random order as they are read; otherwise
            they are permuted, so that the first N are a random N.
        inverted: Whether pictures are dark on white, to be stored as their negatives.

    Example:
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
    read: Callable[..., Images]
    likelihood: str = "bernoulli"
    binarise: str = "dynamic"
    backbone: str = "resnetv2"
    extractor: str = "inception"
    latent: int = 32
    shuffled: bool = False
    inverted: bool = False


def subset(split: Split, rows: Tensor | slice) -> Split:
    """The images of a split at `rows`, in that order, with all that is known of them."""
    known = (split.labels, split.factors, split.given)
    return Split(split.pixels[rows], *(None if each is None else each[rows] for each in known))


def permuted(split: Split) -> Split:
    """The images in an order that is random, and the same each time."""
    return subset(split, torch.from_numpy(np.random.default_rng(0).permutation(len(split))))


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
