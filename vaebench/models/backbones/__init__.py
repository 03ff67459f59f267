"""Encoder and decoder pairs, shared by every variant.

A backbone's `build(shape, latent, width)` returns an encoder, which maps images (B, C, H, W) to
features (B, F) and knows F as `features`, and a decoder, which maps latents (N, D) to outputs
(N, C, H, W): what the observation model takes for each pixel. Where that takes M numbers for each
value, the decoder is one of pictures (M·C, H, W).

Of sequences the shape is (T, V): T tokens at most, of V symbols. The encoder maps tokens (B, T), -1
behind the end, to features; the decoder maps latents (N, D) and the tokens (N, T) before each
place, V being the start and V + 1 one that is not told, to logits (N, T, V), or (N, 1, V) where
they are the same at all places. Plugins add more of both kinds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from vaebench.models.backbones import bow, linear, mlp, recurrent, resnetv2, transformer
from vaebench.models.items import Kind

#: (C, H, W) of images, (T, V) of sequences.
Shape = tuple[int, ...]


def every_shape(shape: Shape) -> None:
    """Accept items of any shape."""


@dataclass(frozen=True)
class Backbone:
    """A pair of networks that build themselves from the shape of the images.

    Attributes:
        title: What it is, for `vaebench list`, with the paper where there is one.
        build: From the shape (C, H, W), the latent dimensions D and a width to an encoder, images
            (B, C, H, W) to features (B, F) with F as its attribute `features`, and a decoder,
            latents (N, D) to outputs (N, C, H, W). C is not that of the images where a likelihood
            takes several outputs for each value: of this pair only the decoder is used.
        width: From the shape to the width that is taken where ``--width`` is not given.
        check: Raises UserError for a shape that the networks cannot take.
        kind: ``pictures`` or ``tokens``, what they are networks of.

    Example:
        >>> import torch
        >>> encoder, decoder = BACKBONES["mlp"].build((1, 8, 8), 5, 16)
        >>> encoder(torch.zeros(3, 1, 8, 8)).shape, decoder(torch.zeros(3, 5)).shape
        (torch.Size([3, 16]), torch.Size([3, 1, 8, 8]))
    """

    title: str
    build: Callable[[Any, int, int], tuple[nn.Module, nn.Module]]
    width: Callable[[Any], int]
    check: Callable[[Any], None] = every_shape
    kind: Kind = "pictures"

    def networks(
        self, shape: Shape, latent: int, width: int, outputs: int = 1
    ) -> tuple[nn.Module, nn.Module]:
        """An encoder of images (C, H, W), and a decoder to outputs (N, M·C, H, W), M = `outputs`.

        With M > 1 the decoder is that of a second pair, built for images (M·C, H, W). Networks of
        sequences are as they are built.
        """
        encoder, decoder = self.build(shape, latent, width)
        if outputs > 1 and self.kind == "pictures":
            channels, *sides = shape
            _, decoder = self.build((outputs * channels, sides[0], sides[1]), latent, width)
        return encoder, decoder


#: The backbones that come with vaebench; a plugin brings its own through `vaebench_backbones`.
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
    ),
    "mlp-relu": Backbone(
        "two layers of ReLU units each way, the inner one half as wide (Davidson et al. 2018)",
        mlp.davidson,
        lambda shape: 256,
    ),
    "linear": Backbone(
        "the values themselves one way, one linear layer the other way",
        linear.build,
        lambda shape: 1,
    ),
    "linear-unbiased": Backbone(
        "as linear, whose outputs have no constant term (Vafaii et al. 2024)",
        partial(linear.build, bias=False),
        lambda shape: 1,
    ),
    "lstm": Backbone(
        "one layer of long short-term memory each way (Bowman et al. 2016)",
        recurrent.lstm,
        recurrent.width,
        kind="tokens",
    ),
    "gru": Backbone(
        "one layer of gated recurrent units each way",
        recurrent.gru,
        recurrent.width,
        kind="tokens",
    ),
    "transformer": Backbone(
        "two layers of attention each way, the decoder causal (Vaswani et al. 2017)",
        transformer.build,
        recurrent.width,
        kind="tokens",
    ),
    "bow": Backbone(
        "bags of words, each token independent of the others given z (Miao et al. 2016)",
        bow.build,
        recurrent.width,
        kind="tokens",
    ),
}
