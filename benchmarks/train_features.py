"""Trains the classifiers whose features measure samples of digits and MNIST.

    python benchmarks/train_features.py digits
    python benchmarks/train_features.py mnist --data-dir DIR

Only training images are seen: of digits, the images that vaebench trains on (the rest after the
400 test and 200 validation images of its split); of MNIST, its 60,000 training images. Half of
each batch is augmented by small shifts, rotations and scalings, and by faint noise: without that,
MNIST's exactly black background makes invisible noise weigh more than a clear blur. Blur is no
augmentation, for it is what the features must see. The accuracy on the test images is printed
and written into the file.
"""

import argparse
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from vaebench.evaluation.features.classifier import Classifier

WEIGHTS = Path(__file__).parents[1] / "vaebench" / "evaluation" / "features" / "weights"
Labelled = tuple[Tensor, Tensor]


def digits(folder: Path | None) -> tuple[Labelled, Labelled]:
    """scikit-learn's digits, divided as vaebench divides them."""
    data = load_digits()
    images = torch.tensor(data.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    order = numpy.random.default_rng(0).permutation(len(images))
    test, train = order[:400], order[600:]
    return (images[train], labels[train]), (images[test], labels[test])


def mnist(folder: Path | None) -> tuple[Labelled, Labelled]:
    """MNIST from torchvision's folder layout."""
    from torchvision.datasets import MNIST

    if folder is None:
        raise SystemExit("mnist needs --data-dir, the folder that holds MNIST/raw.")
    parts = (MNIST(folder, train=True), MNIST(folder, train=False))
    train, test = ((part.data[:, None] / 255, part.targets) for part in parts)
    return train, test


RECIPES = {
    "digits": (digits, {"size": 8, "dimension": 32, "width": 32, "classes": 10}, 120),
    "mnist": (mnist, {"size": 28, "dimension": 64, "width": 16, "classes": 10}, 8),
}


def jitter(images: Tensor, amount: float = 0.06, noise: float = 0.1) -> Tensor:
    """Shift, turn, scale and shear each image a little, bilinearly, and add a little noise."""
    maps = torch.eye(2, 3) + amount * torch.randn(len(images), 2, 3)
    grid = affine_grid(maps, list(images.shape), False)
    level = noise * torch.rand(len(images), 1, 1, 1)
    moved = grid_sample(images, grid, align_corners=False)
    return (moved + level * torch.randn_like(images)).clamp(0, 1)


def accuracy(network: Classifier, images: Tensor, labels: Tensor) -> float:
    """The share of images that are classified correctly."""
    with torch.no_grad():
        guesses = [network.head(network(chunk)).argmax(1) for chunk in images.split(500)]
    return (torch.cat(guesses) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    load, sizes, epochs = RECIPES[arguments.name]
    torch.manual_seed(arguments.seed)
    (images, labels), test = load(arguments.data_dir)
    network = Classifier(**sizes)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = epochs * -(-len(images) // 100)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(epochs):
        for rows in torch.randperm(len(images)).split(100):
            half = len(rows) // 2
            batch = torch.cat([jitter(images[rows[:half]]), images[rows[half:]]])
            loss = cross_entropy(network.head(network(batch)), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if epoch % max(1, epochs // 8) == 0:
            print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)

    share = accuracy(network, *test)
    print(f"{arguments.name}: test accuracy {share:.4f} on {len(test[0])} images")
    about = {
        **sizes,
        "name": arguments.name,
        "accuracy": f"{share:.4f}",
        "data": f"{arguments.name}: {len(images)} training images, {len(test[0])} test images",
        "recipe": f"benchmarks/train_features.py, AdamW one-cycle 4e-3, {epochs} epochs of 100",
        "seed": arguments.seed,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.name}.safetensors"
    save_file(network.state_dict(), path, {key: str(value) for key, value in about.items()})
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
