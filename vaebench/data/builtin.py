"""The data sets that come with vaebench, with documented defaults.

Photographs and handwriting are read through torchvision, in its own folder layout.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaebench.data import (
    captions,
    digits,
    glyphs,
    grammar,
    hmm,
    linear,
    polydigits,
    sprites,
    text_file,
    topics,
    wordnet,
)
from vaebench.data.dataset import subset
from vaebench.data.folder import read_folder
from vaebench.data.images import Images, Request, Source, Split, holdout, stratified
from vaebench.data.pictures import stack, stored
from vaebench.errors import UserError, short


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
        return Images(*holdout(splits[0], 10_000), splits[1])

    return read


def _cifar10(request: Request) -> Images:
    splits = []
    for train in (True, False):
        found = _torchvision("CIFAR10", request, train=train)
        pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        splits.append(Split(pixels, torch.tensor(found.targets)))
    return Images(*holdout(splits[0], 5_000), splits[1])


def _stack(found: Any, side: int, channels: int) -> Tensor:
    """The pictures of a torchvision data set as stored pixels."""
    size = side, side
    return stack((stored(picture, size, channels) for picture, _ in found), len(found), size)


def _omniglot(request: Request) -> Images:
    splits = []
    for background in (True, False):
        found = _torchvision("Omniglot", request, background=background)
        pixels = _stack(found, request.size or 28, 1)
        splits.append(Split(pixels, torch.tensor([label for _, label in found])))
    learn, test = splits
    assert learn.labels is not None
    held = torch.from_numpy(stratified(learn.labels.tolist(), 1_500))
    return Images(subset(learn, ~held), subset(learn, held), test)


def _celeba(request: Request) -> Images:
    def split(name: str) -> Split:
        found = _torchvision("CelebA", request, split=name)
        return Split(_stack(found, request.size or 64, 3))

    return Images(split("train"), split("valid"), split("test"))


#: The data sets that come with vaebench; a plugin brings its own through `vaebench_datasets`.
SOURCES = {
    "digits": Source(
        "scikit-learn's handwritten digits, 8×8, embedded",
        "1197 train, 200 validation, 400 test",
        digits.read,
        extractor="digits",
        latent=8,
        shuffled=True,
    ),
    "sprites": Source(
        "sprites drawn from their factors, 32×32 or 64×64 (--image-size), black and white; all "
        "737280 differ: 13.511 nats",
        "10000 train, 2000 validation, 2000 test, of other factors each",
        sprites.read,
        binarise="fixed",
        backbone="mlp",
        extractor="sprites",
        latent=10,
        shuffled=True,
    ),
    "glyphs": Source(
        "drawings of the glyphs of Hershey's fonts, of the folder hershey or of Debian's package "
        "hershey-fonts-data, light on black, 28×28 or --image-size",
        "992 glyphs, of each 20 train and 5 validation; 248 other ones, of each 20 test",
        glyphs.read,
        backbone="mlp",
        extractor="thumbnail",
    ),
    "polydigits": Source(
        "up to five views of one of scikit-learn's digits, in colour, each on a background of its "
        "own kind, 16×16 or 32×32 (--image-size)",
        "10000 train, 1000 validation, 1000 test, of other digits each",
        polydigits.read,
        likelihood="logistic",
        binarise="none",
        backbone="mlp",
        extractor="polydigits",
        shuffled=True,
    ),
    "captions": Source(
        "sprites and sentences that name their shape, size and place, of known probability",
        "10000 train, 2000 validation, 2000 test, of other sprites each",
        captions.read,
        binarise="fixed",
        backbone="mlp",
        extractor="sprites",
        latent=16,
        shuffled=True,
    ),
    "linear": Source(
        "linear-Gaussian sets, of known density: elements in R^4 around the code of a set; with "
        "kind=parts items of 5 parts in R^30 to R^59 that share a code in R^5",
        "10000 train, 2000 validation, 2000 test",
        linear.read,
        likelihood="gaussian",
        binarise="none",
        backbone="linear",
        extractor="thumbnail",
        latent=4,
        shuffled=True,
    ),
    "hmm": Source(
        "sequences of symbols from a hidden Markov chain, of known probability",
        "10000 train, 2000 validation, 2000 test",
        hmm.read,
        likelihood="tokens",
        binarise="none",
        backbone="lstm",
        extractor="thumbnail",
        latent=8,
        shuffled=True,
    ),
    "topics": Source(
        "sequences of symbols that share a topic, of known probability; what they say of the topic "
        "is known too",
        "10000 train, 2000 validation, 2000 test",
        topics.read,
        likelihood="tokens",
        binarise="none",
        backbone="lstm",
        extractor="thumbnail",
        latent=8,
        shuffled=True,
    ),
    "grammar": Source(
        "English sentences from a small ambiguous grammar, of known probability",
        "10000 train, 2000 validation, 2000 test",
        grammar.read,
        likelihood="tokens",
        binarise="none",
        backbone="lstm",
        extractor="thumbnail",
        latent=16,
        shuffled=True,
    ),
    "mnist": Source(
        "MNIST, 28×28",
        "50000 train, 10000 validation (the last of the training file), 10000 test",
        _idx("MNIST"),
        extractor="mnist",
        shuffled=True,
    ),
    "fashion-mnist": Source(
        "Fashion-MNIST, 28×28",
        "50000 train, 10000 validation, 10000 test",
        _idx("FashionMNIST"),
        extractor="fashion-mnist",
        shuffled=True,
    ),
    "omniglot": Source(
        "Omniglot, light on black, resized to 28×28",
        "background alphabets: 17780 train, 1500 validation (all classes); "
        "evaluation alphabets: 13180 test",
        _omniglot,
        inverted=True,
    ),
    "cifar10": Source(
        "CIFAR-10, 32×32 colour",
        "45000 train, 5000 validation, 10000 test",
        _cifar10,
        likelihood="logistic",
        binarise="none",
        latent=128,
        shuffled=True,
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
        "train/, valid/ and test/ where they exist, else a tenth of each class for testing, for "
        "validation",
        read_folder,
        likelihood="gaussian",
        binarise="none",
        latent=64,
        shuffled=True,
        path="PATH",
    ),
    "wordnet": Source(
        "WordNet 3.0's definitions, of the folder wordnet or of Debian's package wordnet-base; "
        "classes are the 45 files of its lexicographers",
        "5000 different definitions for validation, 5000 for testing, all others for training",
        wordnet.read,
        likelihood="tokens",
        binarise="none",
        backbone="lstm",
        extractor="thumbnail",
        latent=32,
        shuffled=True,
    ),
    "text": Source(
        "text:FILE, anyone's sentences, one a line, or a folder with train.txt",
        "train.txt, valid.txt and test.txt where they exist, else a tenth of the lines for "
        "testing, for validation",
        text_file.read,
        likelihood="tokens",
        binarise="none",
        backbone="lstm",
        extractor="thumbnail",
        latent=32,
        path="FILE",
    ),
}
