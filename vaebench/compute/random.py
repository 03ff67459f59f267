"""Sub-seeds: every use of randomness in a cell has its own, derived from the cell's seed."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put every random state back afterwards."""
    before = states()
    try:
        yield
    finally:
        restore(before)


def states() -> dict[str, Any]:
    """The state of every global generator: torch, CUDA, Python, NumPy."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "python": random.getstate(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, np.int64)), *map(float, rest)],
    }


def restore(states: dict[str, Any]) -> None:
    """Put global generators into the states that `states` returned."""
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state(states["cuda"][0])
    random.setstate(states["python"])
    kind, keys, position, has_gauss, cached = states["numpy"]
    keys = keys.numpy().astype(np.uint32)
    np.random.set_state((kind, keys, int(position), int(has_gauss), cached))


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on the cell's seed and on what it is for."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's global random state for one purpose, and put the old state back afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(seed, *purpose))
        yield
