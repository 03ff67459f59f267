"""Examines the data sets and backbones that anyone may bring before anything is trained on them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vaebench.compute.random import seeded
from vaebench.errors import UserError

if TYPE_CHECKING:
    from vaebench.models.backbones import Backbone
from vaebench.data.validation import explained


def check_networks(
    name: str, chosen: "Backbone", shape: tuple[int, int, int], latent: int, width: int
) -> None:
    """Raise UserError unless a backbone builds an encoder and a decoder that fit images (C, H, W).

    Both networks are built and see two inputs, in evaluation mode; nothing of it is kept.
    """
    what = f"The backbone {name!r}"
    with seeded(0, "admission"), torch.no_grad():
        with explained(what):
            built = chosen.build(shape, latent, width)
        pair = built if isinstance(built, tuple) and len(built) == 2 else ()
        if not pair or not all(isinstance(part, nn.Module) for part in pair):
            raise UserError(
                f"{what} builds a {type(built).__name__}; build(shape, latent, width) must return "
                "an encoder and a decoder, both torch.nn.Module."
            )
        encoder, decoder = (part.eval() for part in pair)
        features = getattr(encoder, "features", None)
        if type(features) is not int or features < 1:
            raise UserError(
                f"The encoder of {name!r} has {features!r:.60} as its attribute `features`; it "
                "must be F, the number of features that it returns for an image."
            )
        for part, network, inputs, outputs in (
            ("encoder", encoder, torch.rand(2, *shape), (2, features)),
            ("decoder", decoder, torch.randn(2, latent), (2, *shape)),
        ):
            with explained(f"The {part} of the backbone {name!r}"):
                found = network(inputs)
            if not isinstance(found, Tensor) or tuple(found.shape) != outputs:
                kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise UserError(
                    f"The {part} of the backbone {name!r} maps {tuple(inputs.shape)} to {kind} "
                    f"instead of {outputs}; mend its `build`."
                )
            if not found.is_floating_point() or not found.isfinite().all():
                raise UserError(
                    f"The {part} of the backbone {name!r} returns {found.dtype} that is not finite "
                    "everywhere; mend its `build`."
                )
