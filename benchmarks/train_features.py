"""Trains the classifiers whose features measure samples: digits, MNIST, sprites and others.

    python benchmarks/train_features.py digits
    python benchmarks/train_features.py mnist --data-dir DIR

Only training images are seen: of digits, the images that vaebench trains on (the rest after the
400 test and 200 validation images of its split); of MNIST and of Fashion-MNIST, their 60,000
training images; of sprites, 30,000 that are in no test or validation split of the default subset;
of polydigits, the five views of 10,000 training items together.
Half of each batch is augmented by small shifts, rotations and scalings, and by faint noise:
without that, MNIST's exactly black background makes invisible noise weigh more than a clear blur.
Sprites are given noise alone, for shifts, rotations and scalings are what their features must see:
beside the shape, which is the class, a linear layer that is thrown away afterwards learns size,
angle and place from the features. Blur is no augmentation, for it is what the features must see.
The accuracy on the test images is printed and written into the file.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
import torchvision.datasets
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, mse_loss

import vaebench
from vaebench.data.sprites import FACTORS
from vaebench.evaluation.features.classifier import Classifier

#: What the features of sprites shall tell beside the shape.
BESIDE = ("size", "x", "y", "cos(angle)", "sin(angle)")
WEIGHTS = Path(__file__).parents[1] / "vaebench" / "evaluation" / "features" / "weights"


class Labelled(NamedTuple):
    """Images (N, C, H, W) in [0, 1], classes (N,), and what else features shall tell (N, T)."""

    images: Tensor
    labels: Tensor
    known: Tensor | None = None


class Recipe(NamedTuple):
    """From the data folder to training and test images, the classifier, and how it is trained."""

    load: Callable[[Path | None], tuple[Labelled, Labelled]]
    sizes: dict[str, int]
    epochs: int
    amount: float = 0.06
    batch: int = 100


def digits(folder: Path | None) -> tuple[Labelled, Labelled]:
    """scikit-learn's digits, divided as vaebench divides them."""
    data = load_digits()
    images = torch.tensor(data.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    order = numpy.random.default_rng(0).permutation(len(images))
    test, train = order[:400], order[600:]
    return Labelled(images[train], labels[train]), Labelled(images[test], labels[test])


def idx(name: str) -> Callable[[Path | None], tuple[Labelled, Labelled]]:
    """MNIST or Fashion-MNIST from torchvision's folder layout."""

    def read(folder: Path | None) -> tuple[Labelled, Labelled]:
        if folder is None:
            raise SystemExit(f"{name} needs --data-dir, the folder that holds {name}/raw.")
        kind = getattr(torchvision.datasets, name)
        parts = (kind(folder, train=True), kind(folder, train=False))
        train, test = (Labelled(part.data[:, None] / 255, part.targets) for part in parts)
        return train, test

    return read


def sprites(folder: Path | None) -> tuple[Labelled, Labelled]:
    """Sprites with size, place, and cosine and sine of the angle as numbers around zero."""

    def known(split: vaebench.Split) -> Labelled:
        factors = split.factors.float()
        counts = torch.tensor([*FACTORS.values()])
        linear = (factors / (counts - 1) - 0.5)[:, [1, 3, 4]] * 12**0.5
        turn = 2 * torch.pi * factors[:, 2:3] / counts[2]
        numbers = torch.cat([linear, 2**0.5 * turn.cos(), 2**0.5 * turn.sin()], 1)
        return Labelled(split.pixels.float(), split.labels, numbers)

    images = vaebench.read("sprites[items=30000]")
    return known(images.train), known(images.test)


def polydigits(folder: Path | None) -> tuple[Labelled, Labelled]:
    """All views, one after the other."""
    parts = vaebench.read("polydigits").parts.values()

    def together(name: str) -> Labelled:
        splits = [getattr(part, name) for part in parts]
        pixels = torch.cat([split.pixels for split in splits])
        return Labelled(pixels / 255, torch.cat([split.labels for split in splits]))

    return together("train"), together("test")


RECIPES = {
    "digits": Recipe(digits, {"size": 8, "dimension": 32, "width": 32, "classes": 10}, 120),
    "mnist": Recipe(idx("MNIST"), {"size": 28, "dimension": 64, "width": 16, "classes": 10}, 8),
    "fashion-mnist": Recipe(
        idx("FashionMNIST"), {"size": 28, "dimension": 64, "width": 16, "classes": 10}, 12
    ),
    "sprites": Recipe(
        sprites, {"size": 32, "dimension": 64, "width": 12, "classes": 3}, 9, amount=0.0, batch=32
    ),
    "polydigits": Recipe(
        polydigits,
        {"size": 16, "dimension": 64, "width": 16, "classes": 10, "channels": 3},
        6,
    ),
}


def jitter(images: Tensor, amount: float, noise: float = 0.1) -> Tensor:
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

    recipe = RECIPES[arguments.name]
    torch.manual_seed(arguments.seed)
    train, test = recipe.load(arguments.data_dir)
    network = Classifier(**recipe.sizes)
    beside = (
        None if train.known is None else nn.Linear(network.head.in_features, train.known.shape[1])
    )
    learners = nn.ModuleList(filter(None, (network, beside)))
    optimiser = torch.optim.AdamW(learners.parameters(), weight_decay=0.01)
    steps = recipe.epochs * -(-len(train.images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(recipe.epochs):
        for rows in torch.randperm(len(train.images)).split(recipe.batch):
            images, half = train.images[rows], len(rows) // 2
            features = network(torch.cat([jitter(images[:half], recipe.amount), images[half:]]))
            loss = cross_entropy(network.head(features), train.labels[rows], label_smoothing=0.05)
            if beside is not None:
                loss = loss + mse_loss(beside(features), train.known[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if epoch % max(1, recipe.epochs // 8) == 0:
            print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)

    share = accuracy(network, test.images, test.labels)
    print(f"{arguments.name}: test accuracy {share:.4f} on {len(test.images)} images")
    about = {
        **recipe.sizes,
        "name": arguments.name,
        "accuracy": f"{share:.4f}",
        "data": f"{arguments.name}: {len(train.images)} training images, "
        f"{len(test.images)} test images",
        "recipe": f"benchmarks/train_features.py, AdamW one-cycle 4e-3, {recipe.epochs} epochs "
        f"of {recipe.batch}",
        "seed": arguments.seed,
    }
    if beside is not None:
        with torch.no_grad():
            missed = (beside(network(test.images)) - test.known).square().mean(0)
        about["explained"] = ", ".join(f"{1 - part:.3f}" for part in missed.tolist())
        print(f"of the variance of {', '.join(BESIDE)}: {about['explained']}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.name}.safetensors"
    save_file(network.state_dict(), path, {key: str(value) for key, value in about.items()})
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
