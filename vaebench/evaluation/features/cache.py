"""Features of real images, kept on disk: computed once a data set, not once a cell.

A file is named by the digest of everything that its content depends on, is written atomically
and holds plain tensors. One that is damaged in any way is computed again.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vaebench.config.resources import cache_folder
from vaebench.evaluation.features.extractor import Extractor
from vaebench.evaluation.functional.frechet import Moments, moments
from vaebench.runs import files

#: Part of every name: raise it when the way that features are computed changes.
VERSION = 1
#: Bytes that all files may take.
ROOM = 2**30


@dataclass(frozen=True)
class Real:
    """Features (N, F) of real images, float32 on the CPU, and their moments."""

    features: Tensor
    moments: Moments


def real(
    extractor: Extractor, data: str, part: str, images: Callable[[], Tensor | Iterable[Tensor]]
) -> Real:
    """The features of a part of a data set, from the disk where they have been computed before.

    A folder that cannot be written to costs the computation in each cell, and nothing else.

    Args:
        extractor: Its name and the hash of its weights are part of the file's name.
        data: Hash of the data set.
        part: Which of its images, such as ``test[:10000]``.
        images: Makes the images (N, C, H, W) in [0, 1] where they are needed, or some at a time.
    """
    identity = "/".join((str(VERSION), extractor.name, extractor.sha256, data, part))
    path = cache_folder() / "features" / f"{sha256(identity.encode()).hexdigest()}.safetensors"
    found = _read(path, identity)
    if found is None:
        made = images()
        parts = [made] if isinstance(made, Tensor) else made
        features = torch.cat([extractor(some) for some in parts])
        found = Real(features, moments(features))
        _write(path, identity, found)
    return found


def _read(path: Path, identity: str) -> Real | None:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            os.utime(path)
            features, mean, cov = (file.get_tensor(key) for key in ("features", "mean", "cov"))
    except (OSError, SafetensorError, ValueError, RuntimeError):
        return None
    if about.get("identity") != identity or about.get("sha256") != _digest(features, mean, cov):
        return None
    return Real(features, Moments(mean, cov, len(features)))


def _write(path: Path, identity: str, found: Real) -> None:
    tensors = {
        "features": found.features.contiguous(),
        "mean": found.moments.mean.contiguous(),
        "cov": found.moments.cov.contiguous(),
    }
    about = {"identity": identity, "sha256": _digest(*tensors.values())}
    try:
        files.write_bytes(path, save(tensors, about))
        prune(path.parent)
    except OSError:
        pass


def prune(kept: Path, room: int = ROOM) -> None:
    """Remove the files that were used longest ago until the others fit into `room` bytes."""
    found = sorted(
        ((path.stat(), path) for path in kept.glob("*.safetensors")),
        key=lambda item: item[0].st_mtime,
        reverse=True,
    )
    for (_, path), size in zip(found, accumulate(stat.st_size for stat, _ in found), strict=True):
        if size > room:
            path.unlink(missing_ok=True)


def _digest(*tensors: Tensor) -> str:
    digest = sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
