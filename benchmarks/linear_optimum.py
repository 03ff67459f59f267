"""The best that a Gaussian VAE of linear networks can reach on MNIST, in closed form.

    python benchmarks/linear_optimum.py --data-dir DIR

It is probabilistic PCA with noise of variance 1/2 (Tipping & Bishop 1999, eq. 7): eigenvalues of
the training images' covariance above 1/2 are modelled, all others are noise. Printed is the
negative log-likelihood of the test images in nats an image without its constant 392 log π, as the
recipe poisson-linear has it, for a decoder with a constant term and for one without.
"""

import argparse
from pathlib import Path

import numpy as np

import vaebench

NOISE = 0.5


def optimum(train: np.ndarray, test: np.ndarray, *, mean: bool) -> tuple[int, float]:
    """Dimensions that are used, and nats an image without the constant, of grey values (N, P)."""
    centre = train.mean(0) if mean else np.zeros(train.shape[1])
    values, vectors = np.linalg.eigh((train - centre).T @ (train - centre) / len(train))
    spread = np.maximum(values, NOISE)
    square = ((test - centre) @ vectors) ** 2
    nats = 0.5 * (np.log(spread / NOISE).sum() + (square / spread).sum(1))
    return int((values > NOISE).sum()), float(nats.mean())


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    images = vaebench.read("mnist", parser.parse_args().data_dir)
    grey = [split.pixels.flatten(1).numpy() / 255 for split in (images.train, images.test)]
    for mean in (False, True):
        used, nats = optimum(*grey, mean=mean)
        print(
            f"{'with' if mean else 'without'} a constant term: {used} dimensions, {nats:.2f} nats"
        )


if __name__ == "__main__":
    main()
