"""Encoder and decoder pairs, shared by every variant.

A backbone's `build(shape, latent, outputs, width)` returns an encoder, which maps images
(B, C, H, W) to features (B, F) and knows F as `features`, and a decoder, which maps latents
(N, D) to outputs (N, outputs·C, H, W) of the observation model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from vaebench.backbones import mlp, resnetv2
from vaebench.errors import unknown

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Backbone:
    """A builder, the width that it takes when none is asked for, and the shapes that it takes."""

    title: str
    build: Callable[[Shape, int, int], tuple[nn.Module, nn.Module]]
    width: Callable[[Shape], int]
    check: Callable[[Shape], None]


BACKBONES = {
    "resnetv2": Backbone(
        "pre-activation residual networks that build themselves from the image shape",
        resnetv2.build,
        resnetv2.width,
        resnetv2.check,
    ),
    "mlp": Backbone(
        "two layers of tanh units each way (Burda et al. 2016)",
        mlp.burda,
        lambda shape: 200,
        lambda shape: None,
    ),
    "mlp-relu": Backbone(
        "two layers of ReLU units each way, the inner one half as wide (Davidson et al. 2018)",
        mlp.davidson,
        lambda shape: 256,
        lambda shape: None,
    ),
}


def backbone(name: str) -> Backbone:
    """The backbone of that name; UserError if there is none."""
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    return BACKBONES[name]
