"""A plain autoencoder, the baseline that shows what the noise of the others buys."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vaebench import Draw, Posterior, Variant, hookimpl


class Delta(Distribution):
    """All mass on one point, loc (..., D): it can be drawn from and has no density."""

    arg_constraints: ClassVar = {"loc": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point, (..., D)."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Zero, (..., D)."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """The point, once for each draw."""
        return self.loc.expand(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Raise NotImplementedError: a point mass has no density."""
        raise NotImplementedError("A point mass has no density.")


class Point(Posterior):
    """A single code z = f(h) for each input."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.head = nn.Linear(context, features)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to a point mass."""
        return Delta(self.head(h))


def reconstruction(draw: Draw) -> Tensor:
    """E_q[log p(x|z)] (B,) nats, and nothing that would keep the codes near the prior."""
    return draw.mean(draw.log_px)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The autoencoder, with what it cannot be asked for."""
    return [
        Variant(
            "autoencoder",
            Point,
            objective=reconstruction,
            deviations={
                "bound": "the objective is the reconstruction term alone",
                "density": "the code is a point, without a density",
                "likelihood": "nothing ties the codes to the prior",
            },
            reference="Hinton & Salakhutdinov 2006, doi 10.1126/science.1127647",
            family="autoencoders",
            description="One code z = f(x) for each input and the reconstruction term alone: "
            "what the noise of the others is worth.",
        )
    ]
