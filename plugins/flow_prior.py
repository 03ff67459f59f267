"""A prior that is a learned, invertible map of a standard normal: affine coupling layers."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vaebench import Gaussian, Variant, hookimpl

#: Largest |log scale| of a layer.
_STEEPEST = 2.0


class Coupling(nn.Module):
    """u_b ← exp(s(u_a)) u_b + m(u_a), where a are every second dimension and b the others.

    A network with one bounded hidden layer gives m and s; it starts at the identity.

    Args:
        features: D, the number of latent dimensions.
        width: The number of hidden units.
        odd: Which half moves.
    """

    moved: Tensor

    def __init__(self, features: int, width: int, odd: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.out = nn.Linear(width, 2 * features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("moved", torch.arange(features) % 2 == odd, persistent=False)

    def _move(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """m and s (..., D), 0 for the dimensions that stay."""
        raw = self.out(torch.tanh(self.hidden(u.masked_fill(self.moved, 0.0))))
        m, s = raw.masked_fill(~self.moved.repeat(2), 0.0).chunk(2, -1)
        return m, _STEEPEST * torch.tanh(s / _STEEPEST)

    def forward(self, u: Tensor) -> Tensor:
        """What the layer makes of u (..., D)."""
        m, s = self._move(u)
        return s.exp() * u + m

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The u (..., D) that the layer moves to z, and log |dz/du| (...)."""
        m, s = self._move(z)
        return (z - m) * (-s).exp(), s.sum(-1)


class Flow(Distribution):
    """The law of `layers` applied in turn to a draw of `base`, N(0, I) of event shape (D,)."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, layers: Sequence[Coupling]) -> None:
        self.base, self.layers = base, layers
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def from_normal(self, u: Tensor) -> Tensor:
        """z (..., D) of standard normal u (..., D)."""
        for layer in self.layers:
            u = layer(u)
        return u

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D)."""
        return self.from_normal(self.base.rsample(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) (...) in nats, by inversion of every layer."""
        log_det = value.new_zeros(())
        for layer in reversed(self.layers):
            value, more = layer.inverse(value)
            log_det = log_det + more
        return self.base.log_prob(value) - log_det


class FlowPrior(Gaussian):
    """The Gaussian posterior, against a normal sent through T coupling layers.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        layers: T, which move either half of the dimensions in turn; with 0 the prior is N(0, I).
        width: Hidden units of each layer's network.

    Raises:
        ValueError: A negative number of layers, or no hidden unit.

    References:
        Dinh et al. 2017, Density estimation using Real NVP, arXiv 1605.08803, sec. 3.2; as a
        prior: Chen et al. 2017, Variational Lossy Autoencoder, arXiv 1611.02731, sec. 3.2.
    """

    def __init__(self, features: int, context: int, layers: int = 6, width: int = 64) -> None:
        super().__init__(features, context)
        if layers < 0 or width < 1:
            raise ValueError(f"layers >= 0 and width >= 1, not {layers} and {width}.")
        self.layers = nn.ModuleList(Coupling(features, width, t % 2 == 1) for t in range(layers))

    def prior(self) -> Distribution:
        """The flow, with its map from a normal."""
        return Flow(super().prior(), list(self.layers))  # type: ignore[arg-type]


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Six coupling layers, trained with the ELBO."""
    return [
        Variant(
            "flow-prior",
            FlowPrior,
            reference="Dinh et al. 2017, arXiv 1605.08803; Chen et al. 2017, arXiv 1611.02731",
            family="priors",
            description="A prior that is a learned map of a normal: affine coupling layers "
            "z_b ← exp(s(z_a)) z_b + m(z_a).",
        )
    ]
