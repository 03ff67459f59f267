"""The Inception-v3 features of the usual FID, as torch-fidelity computes them."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from vaebench.errors import UserError

FILE = "weights-inception-2015-12-05-6726825d.pth"
REMEDY = f"--fid-weights PATH names a copy of torch-fidelity's {FILE}"


def find(weights: Path | None = None, download: bool = False) -> Path:
    """The weights file: the path given, else the one in torch's cache, downloaded if allowed.

    Raises:
        UserError: There is no such file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"There is no file {weights}: {REMEDY}.")
        return weights
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if cached.is_file():
        return cached
    if not download:
        raise UserError(
            f"The Inception weights are not on this machine: {REMEDY}, --download fetches it."
        )
    cached.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(_adapter().URL_INCEPTION_V3, str(cached), progress=False)
    except OSError as error:
        raise UserError(
            f"The Inception weights cannot be downloaded ({error}): {REMEDY}."
        ) from error
    return cached


class Inception(nn.Module):
    """Images (B, C, H, W) in [0, 1] to the 2048 features of the last pooling layer.

    Images are rounded to bytes, grey ones repeated to three channels, and resized to 299 × 299
    as TensorFlow 1 does, which is what published numbers were computed with.

    Args:
        path: torch-fidelity's weights file.

    References:
        Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, arXiv 1706.08500.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        adapter = _adapter()
        try:
            # torch-fidelity unpickles whatever the file holds; this accepts tensors only.
            torch.load(path, map_location="cpu", weights_only=True)
            self.network = adapter.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
            )
        except (OSError, RuntimeError, UnpicklingError, EOFError, TypeError) as error:
            raise UserError(f"{path} holds no Inception weights: {REMEDY}.") from error

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), C = 1 or 3, to features (B, 2048)."""
        pixels = (255 * images).round().to(torch.uint8)
        return self.network(pixels.expand(-1, 3, -1, -1))[0]


def _adapter() -> Any:
    """torch-fidelity's Inception module."""
    try:
        from torch_fidelity import feature_extractor_inceptionv3
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"torch-fidelity does not import ({error}): reinstall torch, torchvision and "
            "torch-fidelity together, of versions that match."
        ) from error
    return feature_extractor_inceptionv3
