"""How long sprites take to draw, in units of what a training pass over them takes.

    python benchmarks/sprites.py

A pass is one of the default encoder and decoder of the data set, forward and backward.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from vaebench.data.sprites import FACTORS, SIDES, render
from vaebench.registry.lookup import backbone, source

PICTURES, ROUNDS, BATCH, LATENT = 10_000, 5, 64, 10


def clocked(work: Callable[[], object]) -> float:
    """Median seconds of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def ratio(size: int) -> float:
    """Seconds of drawing the pictures in units of a training pass over them."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(n, size=PICTURES) for n in FACTORS.values()], 1)
    shape, chosen = (1, size, size), backbone(source("sprites").backbone)
    encoder, decoder = chosen.networks(shape, LATENT, chosen.width(shape), 1)
    head = torch.nn.Linear(encoder.features, LATENT)

    def step() -> None:
        decoder(head(encoder(torch.rand(BATCH, *shape)))).sum().backward()

    return clocked(lambda: render(factors, size)) / (clocked(step) * PICTURES / BATCH)


def main() -> None:
    """Print one ratio for each size of picture."""
    torch.set_num_threads(1)
    for size in SIDES:
        print(f"{size} pixels: {ratio(size):.2f} training passes over {PICTURES:,} pictures")


if __name__ == "__main__":
    main()
