"""Image data sets: stored levels in memory, split, hashed, with documented defaults.

All but `digits` and `folder:` are read through torchvision, in its own folder layout.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaebench import admission, heldout
from vaebench.errors import UserError
from vaebench.plugins import catalogue
from vaebench.wording import short


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


def _holdout(split: Split, count: int) -> tuple[Split, Split]:
    """The split without its last `count` images, and those."""
    labels = split.labels
    return (
        Split(split.pixels[:-count], None if labels is None else labels[:-count]),
        Split(split.pixels[-count:], None if labels is None else labels[-count:]),
    )


def _digits(request: Request) -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    pixels = torch.from_numpy(bunch.images[order].astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target[order])
    test, validation, train = (
        Split(pixels[part], labels[part])
        for part in (slice(400), slice(400, 600), slice(600, None))
    )
    return Images(train, validation, test, levels=17)


def _torchvision(name: str, request: Request, **options: Any) -> Any:
    """A torchvision data set, its many ways to fail turned into one sentence."""
    try:
        import torchvision.datasets
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"torchvision cannot be imported ({error}); install a torchvision that matches torch."
        ) from error
    try:
        return getattr(torchvision.datasets, name)(
            str(request.root), download=request.download, **options
        )
    except Exception as error:
        said = short(str(error)) or type(error).__name__
        why = f"cannot be read ({said})"
        if "download=True" in said:
            why = "is missing or damaged" if "corrupt" in said else "is missing"
        raise UserError(
            f"{name} {why} in the folder {request.root.absolute()}; name the one that holds it in "
            "torchvision's layout with --data-dir or $VAEBENCH_DATA, or fetch it with --download."
        ) from error


def _idx(name: str) -> Callable[[Request], Images]:
    """Reader of MNIST and of the data sets that copy its format."""

    def read(request: Request) -> Images:
        splits = []
        for train, count in ((True, 60_000), (False, 10_000)):
            found = _torchvision(name, request, train=train)
            if tuple(found.data.shape) != (count, 28, 28) or len(found.targets) != count:
                raise UserError(
                    f"{name} under {request.root} is damaged: {tuple(found.data.shape)} instead of "
                    f"({count}, 28, 28); delete it and fetch it again with --download."
                )
            splits.append(Split(found.data[:, None], found.targets))
        return Images(*_holdout(splits[0], 10_000), splits[1])

    return read


def _cifar10(request: Request) -> Images:
    splits = []
    for train in (True, False):
        found = _torchvision("CIFAR10", request, train=train)
        pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        splits.append(Split(pixels, torch.tensor(found.targets)))
    return Images(*_holdout(splits[0], 5_000), splits[1])


def _stack(pictures: Any, size: int, mode: str) -> Tensor:
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


def _omniglot(request: Request) -> Images:
    splits = []
    for background in (True, False):
        found = _torchvision("Omniglot", request, background=background)
        # Strokes are dark on white; the field's convention is light on black.
        pixels = 255 - _stack((picture for picture, _ in found), request.size or 28, "L")
        splits.append(Split(pixels, torch.tensor([label for _, label in found])))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(splits[0])))
    assert splits[0].labels is not None
    shuffled = Split(splits[0].pixels[order], splits[0].labels[order])
    return Images(*_holdout(shuffled, 1_500), splits[1])


def _celeba(request: Request) -> Images:
    def split(name: str) -> Split:
        found = _torchvision("CelebA", request, split=name)
        return Split(_stack((picture for picture, _ in found), request.size or 64, "RGB"))

    return Images(split("train"), split("valid"), split("test"))


PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def _folder(request: Request) -> Images:
    """Anyone's pictures: `train/` and `test/` if both exist, else every tenth is for testing."""
    from PIL import Image

    root, size = request.root, request.size
    if size is None:
        raise UserError("A folder of images needs --image-size, the side length in pixels.")
    if not root.is_dir():
        raise UserError(f"{root} is no folder; write --dataset folder:PATH with one of images.")

    def files(folder: Path) -> list[Path]:
        return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)

    def read(paths: list[Path], mode: str) -> Tensor:
        def pictures() -> Any:
            for path in paths:
                try:
                    with Image.open(path) as picture:
                        picture.load()
                        yield picture
                except (OSError, ValueError, Image.DecompressionBombError) as error:
                    raise UserError(f"{path} is no readable image ({error}); remove it.") from error

        return _stack(pictures(), size, mode)

    given = [files(root / "train"), files(root / "test")]
    everything = files(root)
    if len(everything) < 20:
        raise UserError(f"{root} holds {len(everything)} images; at least 20 are needed.")
    shuffled = np.random.default_rng(0).permutation(len(everything))
    tenth = max(1, len(everything) // 10)
    train, test = (
        given
        if all(given)
        else (
            [everything[i] for i in shuffled[tenth:]],
            [everything[i] for i in shuffled[:tenth]],
        )
    )
    try:
        with Image.open(train[0]) as first:
            mode = "L" if first.mode in ("1", "L", "I", "I;16", "LA") else "RGB"
    except OSError as error:
        raise UserError(f"{train[0]} is no readable image ({error}); remove it.") from error
    learn = Split(read(train, mode))
    return Images(*_holdout(learn, max(1, len(train) // 10)), Split(read(test, mode)))


#: The data sets that come with vaebench; a plugin brings its own through `vaebench_datasets`.
SOURCES = {
    "digits": Source(
        "scikit-learn's handwritten digits, 8×8, embedded",
        "1197 train, 200 validation, 400 test",
        _digits,
        extractor="digits",
        latent=8,
    ),
    "mnist": Source(
        "MNIST, 28×28",
        "50000 train, 10000 validation (the last of the training file), 10000 test",
        _idx("MNIST"),
        extractor="mnist",
    ),
    "fashion-mnist": Source(
        "Fashion-MNIST, 28×28", "50000 train, 10000 validation, 10000 test", _idx("FashionMNIST")
    ),
    "omniglot": Source(
        "Omniglot, inverted, resized to 28×28",
        "background alphabets: 17780 train, 1500 validation; evaluation alphabets: 13180 test",
        _omniglot,
    ),
    "cifar10": Source(
        "CIFAR-10, 32×32 colour",
        "45000 train, 5000 validation, 10000 test",
        _cifar10,
        likelihood="logistic",
        binarise="none",
        latent=128,
    ),
    "celeba": Source(
        "CelebA, centre crop, 64×64 colour",
        "torchvision's",
        _celeba,
        likelihood="gaussian",
        binarise="none",
        latent=64,
    ),
    "folder": Source(
        "folder:PATH, anyone's images, centre crop, --image-size pixels wide",
        "train/ and test/ where both exist, else a tenth for testing; a tenth of train validates",
        _folder,
        likelihood="gaussian",
        binarise="none",
        latent=64,
    ),
}


def source(name: str) -> Source:
    """The source of a data set: ``mnist``, ``mnist[without=9]``, ``folder:PATH`` and the like."""
    key = heldout.named(name)[0].partition(":")[0]
    if key == "folder" and key == name:
        raise UserError("Say which folder: --dataset folder:PATH.")
    return catalogue().bringer("datasets", key).datasets[key]


def load(name: str, request: Request) -> Images:
    """Read a data set; UserError if it is missing, damaged, too small or not what it must be."""
    found = source(name)
    path = name.partition(":")[2]
    if path:
        request = Request(Path(path), request.download, request.size)
    what = f"The data set {name!r}"
    with admission.explained(what):
        images = found.read(request)
    if not isinstance(images, Images):
        raise UserError(
            f"{what} is read as a {type(images).__name__}; its reader must return Images."
        )
    admission.images(what, images)
    label = heldout.named(name)[1]
    if label is not None:
        images = heldout.without(what, images, label)
        admission.images(what, images)
    return images
