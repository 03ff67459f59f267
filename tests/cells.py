"""A small cell, and a task of it, for the tests of what trains and evaluates."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from vaebench.config.cell import MEASURED, Cell, Evaluation, Task
from vaebench.data.images import Request
from vaebench.registry.lookup import load


def cell(**changes) -> Cell:
    """Two epochs of the Gaussian on digits, with changes."""
    small = Cell(
        plugin="gaussian",
        dataset="digits",
        backbone="mlp",
        width=16,
        critic="none",
        critic_weight=0.3,
        latent=3,
        likelihood="bernoulli",
        binarise="dynamic",
        image_size=None,
        seed=0,
        epochs=2,
        batch_size=128,
        lr=2e-3,
        lr_schedule="constant",
        kl_warmup=0,
        evaluate="best",
        data=_hash(),
    )
    return replace(small, **changes)


@cache
def _hash() -> str:
    return digits().hash()


def task(**changes) -> Task:
    """A small cell of which little is measured, with changes of either."""
    asked = {name: changes.pop(name) for name in MEASURED if name in changes}
    small = Evaluation(metrics=("default",), ais_images=4, iw_samples=8, extractor="digits")
    return Task(cell(**changes), replace(small, **asked))


@cache
def digits():
    """The embedded data set, read once: no test changes it."""
    return load("digits", Request(Path("nowhere")))


def renamed(values, names):
    """A dictionary whose keys have other words for some of theirs."""
    found = {}
    for name, value in values.items():
        for before, after in names.items():
            name = name.replace(before, after)
        found[name] = value
    return found
