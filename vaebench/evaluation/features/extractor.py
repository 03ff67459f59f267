"""What samples are measured by: named feature extractors, identified by the hash of their weights.

A Fréchet distance means nothing without its features. An extractor therefore carries a name and
the SHA-256 of its weights file, and both belong to whatever is computed from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from vaebench.compute.precision import full_precision
from vaebench.errors import UserError, unknown
from vaebench.evaluation.features import classifier, inception
from vaebench.registry.catalogue import catalogue


@dataclass(frozen=True)
class Extractor:
    """Maps images (N, C, H, W) in [0, 1] to features (N, F).

    Attributes:
        name: The name in the metric: `fid_<name>`.
        sha256: Hash of the weights, hexadecimal.
        network: Maps a chunk of images (B, C, H, W) in [0, 1] to features (B, F).
        head: Maps features (B, F) to class logits (B, classes), for a classifier.
        shape: The only shape (C, H, W) that the network reads; None if it reads every one.
        chunk: B, the number of images that pass through the network at once.
    """

    name: str
    sha256: str
    network: nn.Module
    head: nn.Module | None = None
    shape: tuple[int, int, int] | None = None
    chunk: int = 256

    @property
    def identity(self) -> str:
        """Name and short hash, such as `digits@1f2e3d4c`: features are comparable if equal."""
        return f"{self.name}@{self.sha256[:8]}"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, F), float32 on the CPU, of images (N, C, H, W), clamped to [0, 1].

        The network computes on the images' device, in float32 as written: no autocast, no TF32.

        Raises:
            ValueError: The images are not floating-point numbers, or not four-dimensional.
            UserError: The extractor does not read images of this shape, or fails on them.
        """
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"Expected float images (N, C, H, W), got {images.dtype} {tuple(images.shape)}."
            )
        if self.shape is not None and tuple(images.shape[1:]) != self.shape:
            raise UserError(
                f"The extractor {self.name!r} reads images of shape {self.shape}, not "
                f"{tuple(images.shape[1:])}: choose one made for this data set with --extractor."
            )
        network = self.network.to(images.device)
        try:
            with full_precision(images.device):
                parts = [
                    network(chunk.float().clamp(0, 1)).float().cpu()
                    for chunk in images.split(self.chunk)
                ]
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise UserError(
                f"The extractor {self.name!r} fails on images of shape {tuple(images.shape[1:])} "
                f"({str(error).splitlines()[0]}): choose another with --extractor."
            ) from error
        features = torch.cat(parts)
        if features.ndim != 2:
            raise UserError(
                f"The extractor {self.name!r} returns features of shape {tuple(features.shape)}, "
                "not (N, F): choose another with --extractor."
            )
        if not features.isfinite().all():
            raise UserError(f"The extractor {self.name!r} finds features that are not finite.")
        return features

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Class logits (N, classes) of features (N, F), on the CPU.

        Raises:
            UserError: The extractor classifies nothing.
        """
        if self.head is None:
            raise UserError(
                f"The extractor {self.name!r} knows no classes: take the data set's own."
            )
        return self.head.cpu()(features.cpu())


#: Fields to a side of a thumbnail.
_GRID = 4
#: Builds an extractor from (the path of its weights, where it does not ship them, or None;
#: whether these may be downloaded).
Loader = Callable[[Path | None, bool], Extractor]


def shipped(name: str) -> Loader:
    """The loader of a classifier whose weights are a part of vaebench."""

    def load(weights: Path | None = None, download: bool = False) -> Extractor:
        path = Path(__file__).parent / "weights" / f"{name}.safetensors"
        network, _ = classifier.load(path)
        shape = (network.channels, network.size, network.size)
        return Extractor(name, digest(path), network, network.head, shape)

    return load


def natural(weights: Path | None = None, download: bool = False) -> Extractor:
    """Inception-v3 of the usual FID, with the weights at a path or in torch's cache."""
    path = inception.find(weights, download)
    network = inception.Inception(path)
    return Extractor("inception", digest(path), network, chunk=32)


def thumbnail(weights: Path | None = None, download: bool = False) -> Extractor:
    """Means of pixels over a grid of 4 × 4 fields, for each channel: needs no weights.

    They see where pictures are light and in which colour, and nothing of what they show.
    """
    identity = sha256(f"mean over {_GRID} x {_GRID} fields".encode()).hexdigest()
    network = nn.Sequential(nn.AdaptiveAvgPool2d(_GRID), nn.Flatten())
    return Extractor("thumbnail", identity, network)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


_SHIPPED = ("digits", "mnist", "fashion-mnist", "sprites", "polydigits")
#: The extractors that come with vaebench.
EXTRACTORS: Mapping[str, Loader] = {
    **{
        name: shipped(name)
        for name in ("digits", "mnist", "fashion-mnist", "sprites", "polydigits")
    },
    "inception": natural,
    "thumbnail": thumbnail,
}
#: Those of them whose weights lie elsewhere: finds them, or raises UserError.
_ELSEWHERE: Mapping[str, Callable[[Path | None, bool], Path]] = {"inception": inception.find}


def lacking(name: str, weights: Path | None, download: bool) -> str:
    """Why the weights of an extractor cannot be had; empty where they can, or may be fetched."""
    if name in _ELSEWHERE and not download:
        try:
            _ELSEWHERE[name](weights, False)
        except UserError as error:
            return str(error)
    return ""


def chosen(name: str) -> Mapping[str, Loader]:
    """The loaders that a name is looked up in: the built-in ones, and one that a plugin brings."""
    found = catalogue()
    if name in EXTRACTORS or name not in found.brought("features"):
        return EXTRACTORS
    make = found.thing("features", name)
    return {
        **EXTRACTORS,
        name: _stranger(name.replace(":", "."), found.bringer("features", name).code, make),
    }


def _stranger(name: str, code: str, make: Callable[[Path | None, bool], nn.Module]) -> Loader:
    def load(weights: Path | None = None, download: bool = False) -> Extractor:
        network = make(weights, download)
        if not isinstance(network, nn.Module):
            raise UserError(
                f"The feature extractor {name!r} is not a torch.nn.Module: {network!r:.80}."
            )
        network = network.eval().requires_grad_(False)
        identity = sha256(code.encode())
        for key, value in sorted(network.state_dict().items()):
            identity.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            identity.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return Extractor(name, identity.hexdigest(), network, getattr(network, "head", None))

    return load


def extractor(
    name: str,
    *,
    weights: Path | None = None,
    download: bool = False,
    known: Mapping[str, Loader] = EXTRACTORS,
) -> Extractor:
    """Load a feature extractor by its name.

    Args:
        name: One of `known`.
        weights: Path of the weights, for an extractor that does not ship its own.
        download: Whether weights may be fetched from the network.
        known: Extractors by name: the built-in ones, and those of plugins.

    Raises:
        UserError: There is no such extractor, or its weights cannot be had.
    """
    if name not in known:
        raise unknown("feature extractor", name, known)
    return known[name](weights, download)
