"""Broken variants, each with one mistake and the check that is meant to catch it.

Most are mistakes found in published code; the comments say what a reader would otherwise miss.
"""

from tests.testing.zoo import (
    chains,
    closed_forms,
    conditions,
    conduct,
    densities,
    draws,
    gradients,
    mixtures,
    numbers,
    objectives,
    rivals,
    shapes,
    sphere,
)
from tests.testing.zoo.base import ZOO, Broken

__all__ = [
    "ZOO",
    "Broken",
    "chains",
    "closed_forms",
    "conditions",
    "conduct",
    "densities",
    "draws",
    "gradients",
    "mixtures",
    "numbers",
    "objectives",
    "rivals",
    "shapes",
    "sphere",
]
