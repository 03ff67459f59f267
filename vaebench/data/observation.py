"""How stored pixels are observed: binarised, as the levels that they are, or dequantised."""

import torch
from torch import Tensor

from vaebench.models.likelihoods import Likelihood, Takes
from vaebench.models.modalities import Joint


def grey(pixels: Tensor, levels: int) -> Tensor:
    """Stored pixels as float32 in [0, 1]."""
    return pixels.float() / (levels - 1)


def observe(takes: Takes, pixels: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """What a likelihood that `takes` this observes of stored pixels (N, C, H, W), float32.

    Args:
        takes: ``binary``: a Bernoulli draw for each pixel, its grey value being the probability;
            ``levels``: the grey values; ``real``: (v + u) / L with u uniform on [0, 1), so that
            densities are bounded; ``tokens``: the tokens, int64.
        pixels: Stored levels v in {0, …, L-1}, or tokens (N, T); real numbers, float32, are
            observed as they are.
        levels: L.
        generator: Of the noise.
    """
    if takes == "tokens":
        return pixels.long()
    if pixels.is_floating_point():
        return pixels
    if takes == "levels":
        return grey(pixels, levels)
    noise = _uniform(pixels, generator)
    if takes == "binary":
        return noise.lt_(grey(pixels, levels))
    return (pixels.float() + noise) / levels


def met(likelihood: Likelihood | Joint, stored: Tensor, generator: torch.Generator) -> Tensor:
    """What a likelihood observes of stored items; of parts side by side each by its own, float32.

    Args:
        likelihood: Says how items are observed.
        stored: Items as they are stored.
        generator: Of the noise.
    """
    if not isinstance(likelihood, Joint):
        return observe(likelihood.takes, stored, likelihood.levels, generator)
    parts, layout = likelihood.parts, likelihood.layout
    each = {
        name: observe(parts[name].takes, part, parts[name].levels, generator)
        for name, part in layout.stored(stored).items()
    }
    return layout.joined(each, torch.float32)


def _uniform(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """A uniform number for each pixel, drawn where the generator is: the same on every device."""
    return torch.rand(pixels.shape, generator=generator).to(pixels.device, non_blocking=True)
