"""The small classifiers of images whose penultimate layer measures samples of digits."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vaebench.errors import UserError


class Classifier(nn.Module):
    """A convolutional classifier of images: features (B, F), then one linear layer.

    Each stage convolves, applies SiLU and halves the image until at most three pixels are left a
    side. The features are smooth (SiLU) and keep the sharpness of their input (training blurs
    nothing), so that blurred samples are seen to be blurred.

    Args:
        size: Height and width of the images.
        dimension: F, the number of features.
        width: Channels of the first stage; each further one has twice as many.
        classes: Number of classes.
        channels: C, those of the images.
    """

    def __init__(
        self, size: int, dimension: int, width: int, classes: int = 10, channels: int = 1
    ) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        stages: list[nn.Module] = []
        wider = width
        while size > 3:
            stages += [nn.Conv2d(channels, wider, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2)]
            channels, wider, size = wider, 2 * wider, size // 2
        self.body = nn.Sequential(
            *stages, nn.Flatten(), nn.Linear(channels * size**2, dimension), nn.SiLU()
        )
        self.head = nn.Linear(dimension, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, size, size) in [0, 1] to features (B, F)."""
        return self.body(images)


def load(path: Path) -> tuple[Classifier, dict[str, str]]:
    """Read a classifier and what is recorded about it from a file of `train_features.py`.

    Args:
        path: A safetensors file whose metadata hold the constructor's arguments.

    Returns:
        The network, in evaluation mode and without gradients, and the metadata: size, dimension,
        width, classes, channels, and the accuracy, recipe, data and seed of its training.

    Raises:
        UserError: The file is missing, damaged, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, str] = file.metadata() or {}
            weights: dict[str, Any] = {key: file.get_tensor(key) for key in file.keys()}
        sizes = {key: int(about[key]) for key in ("size", "dimension", "width", "classes")}
        sizes["channels"] = int(about.get("channels", 1))
        with torch.device("meta"):
            network = Classifier(**sizes)
        network.load_state_dict(weights, assign=True)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} holds no classifier of benchmarks/train_features.py ({error}): "
            "install vaebench again, or train it again with that script."
        ) from error
    return network.eval().requires_grad_(False), about
