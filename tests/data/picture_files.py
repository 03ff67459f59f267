"""Picture files for the tests of what reads them."""

from pathlib import Path

import numpy as np
from PIL import Image


def random_picture(seed: int, shape: tuple[int, ...] = (16, 16, 3)) -> Image.Image:
    """8-bit noise, grey for a shape of two axes."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write(folder: Path, count: int, first: int = 0, shape: tuple[int, ...] = (16, 16, 3)) -> None:
    """PNG files of noise, each of its own seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        random_picture(seed, shape).save(folder / f"{seed:04d}.png")


def flat(folder: Path, count: int, level: int) -> None:
    """PNG files of one grey, telling from which folder a picture came."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        array = np.full((8, 8), level, np.uint8)
        array[0, 0] = i
        Image.fromarray(array).save(folder / f"{i:04d}.png")
