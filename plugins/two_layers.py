"""Two stochastic layers, inferred from the image upwards: the deeper model of Burda et al. 2016."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench import Chain, Gaussian, Posterior, Variant, hookimpl, iwae


def tanh_layers(size: int, width: int) -> nn.Sequential:
    """Two tanh layers of `width` units on vectors of `size` dimensions.

    Their weights begin as Glorot & Bengio 2010 advise, which keeps the size of what passes; with
    smaller ones the signal drowns in the noise of the code between two such networks.
    """
    first, second = nn.Linear(size, width), nn.Linear(width, width)
    for layer in (first, second):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh())


class Encoder(nn.Module):
    """Images (B, C, H, W) to features (B, hidden)."""

    def __init__(self, shape: tuple[int, int, int], hidden: int) -> None:
        super().__init__()
        self.features = hidden
        self.layers = nn.Sequential(nn.Flatten(), tanh_layers(math.prod(shape), hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Images to features."""
        found: Tensor = self.layers(x)
        return found


class Decoder(nn.Module):
    """Latents (N, upper + lower + G) to outputs (N, M·C, H, W) that depend on all but the upper."""

    def __init__(self, shape: tuple[int, int, int], upper: int, seen: int, hidden: int) -> None:
        super().__init__()
        self.upper = upper
        self.layers = nn.Sequential(
            tanh_layers(seen, hidden),
            nn.Linear(hidden, math.prod(shape)),
            nn.Unflatten(-1, shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Latents to outputs."""
        found: Tensor = self.layers(z[:, self.upper :])
        return found


def upper_of(features: int) -> int:
    """The dimensions of z₂: a third of all; ValueError where that leaves none."""
    if features < 3:
        raise ValueError(f"Two layers take 3 latent dimensions or more, not {features}.")
    return features // 3


def networks(
    features: int, hidden: int = 200, *, shape: tuple[int, int, int], outputs: int, given: int
) -> tuple[nn.Module, nn.Module]:
    """Two tanh layers of `hidden` units each way, between images and z₁."""
    upper = upper_of(features)
    pictures = (outputs * shape[0], *shape[1:])
    return Encoder(shape, hidden), Decoder(pictures, upper, features - upper + given, hidden)


class Upwards(Chain):
    """A chain of two blocks that stand in z in the other order than they are drawn in."""

    def _built(self, lead: torch.Size, draw: object) -> Tensor:
        first, second = self.sizes.values()
        return torch.cat(super()._built(lead, draw).split([first, second], -1)[::-1], -1)  # type: ignore[arg-type]

    def parts(self, z: Tensor) -> dict[str, Tensor]:
        """The blocks (..., size) of z (..., D) by their names, in the order of drawing."""
        first, second = self.sizes.values()
        return dict(zip(self.sizes, z.split([second, first], -1)[::-1], strict=True))

    def expand(
        self, batch_shape: list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> "Upwards":
        """The same distribution with a larger batch shape."""
        laws = {name: (size, self._laws[name]) for name, size in self.sizes.items()}
        return Upwards(laws, torch.Size(batch_shape))


class TwoLayers(Posterior):
    """q(z₁|x) q(z₂|z₁) against p(z₂) p(z₁|z₂) with p(z₂) = N(0, I), all of them Gaussians.

    z = (z₂, z₁), and p(x|z) depends on z₁ alone.

    Args:
        features: D, the dimensions of both layers; a third of them is z₂.
        context: F, the number of encoder features.
        width: Units of the two tanh layers between z₁ and z₂, each way.

    Raises:
        ValueError: There are fewer than 3 dimensions.

    References:
        Burda et al. 2016, Importance Weighted Autoencoders, arXiv 1509.00519, sec. 5 and app. C:
        100 dimensions in z₁, 50 in z₂, and 100 units.
    """

    def __init__(self, features: int, context: int, width: int = 100) -> None:
        super().__init__(features, context)
        upper = upper_of(features)
        self.sizes = {"z2": upper, "z1": features - upper}
        self.q1 = Gaussian(features - upper, context)
        self.q2 = nn.Sequential(tanh_layers(features - upper, width), Gaussian(upper, width))
        self.p1 = nn.Sequential(tanh_layers(upper, width), Gaussian(features - upper, width))

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the chain upwards."""
        laws: dict[str, Any] = {"z1": partial(self.q1, h), "z2": self.q2}
        return Upwards({n: (self.sizes[n], law) for n, law in laws.items()}, h.shape[:-1])

    def prior(self) -> Distribution:
        """The chain downwards."""
        top = self._zeros[: self.sizes["z2"]]  # type: ignore[index]
        law = torch.distributions.Independent(
            torch.distributions.Normal(top, torch.ones_like(top), validate_args=False), 1
        )
        return Chain({"z2": (self.sizes["z2"], lambda: law), "z1": (self.sizes["z1"], self.p1)})


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The two layers trained with the ELBO, and with L_K."""
    paper = "Burda et al. 2016, arXiv 1509.00519"
    layers = "two stochastic layers, q(z₁|x) q(z₂|z₁) against p(z₂) p(z₁|z₂), the decoder seeing z₁"
    return [
        Variant(
            "two-layers",
            TwoLayers,
            reference=paper,
            family="posteriors",
            description=f"The ELBO with {layers}.",
            networks=networks,
        ),
        Variant(
            "two-layers-iwae",
            TwoLayers,
            iwae,
            samples=5,
            reference=paper,
            family="objectives",
            description=f"The bound of K draws with {layers}.",
            networks=networks,
        ),
    ]
