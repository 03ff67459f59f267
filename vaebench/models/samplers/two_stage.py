"""A second, small VAE of the codes, whose own codes are near N(0, I)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from vaebench.models.draw import draw
from vaebench.models.objectives import elbo
from vaebench.models.posterior import Gaussian
from vaebench.models.samplers.training import Standard, fit


class _Second(nn.Module):
    """p(u) p(z|u) on standardised codes: u of as many dimensions as z, a learnt noise level γ."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.encoder = _mlp(features, width, width)
        self.posterior = Gaussian(features, width)
        self.decoder = _mlp(features, width, features)
        self.log_noise = nn.Parameter(torch.zeros(()))

    def given(self, u: Tensor) -> Distribution:
        """p(z|u) for u (..., D)."""
        noise = self.log_noise.exp()
        return Independent(Normal(self.decoder(u), noise, validate_args=False), 1)

    def bound(self, z: Tensor) -> Tensor:
        """The ELBO (B,) of rows z (B, D) in nats, from one draw."""
        q = self.posterior(self.encoder(z))
        return elbo(draw(q, self.posterior.prior(), lambda u: self.given(u).log_prob(z), 1))


def _mlp(inputs: int, width: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(),
        nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, outputs),
    )  # fmt: skip


class Decoded(Distribution):
    """Draws of a latent-variable model of codes, whose density is an integral nobody knows."""

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, standard: Standard, model: _Second) -> None:
        self.standard, self.model = standard, model
        super().__init__(torch.Size(), standard.mean.shape, validate_args=False)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D)."""
        with torch.no_grad():
            u = self.model.posterior.prior().sample(torch.Size(sample_shape))
            return self.standard.back(self.model.given(u).sample())

    def log_prob(self, value: Tensor) -> Tensor:
        """Raise NotImplementedError."""
        raise NotImplementedError("The density of a second stage's codes is not known.")


def two_stage(codes: Tensor, width: int = 256) -> Distribution:
    """The second VAE that is fitted to codes (N, D), batch shape (); it has no density.

    Args:
        codes: What it is fitted to; a tenth of them decides when it is best.
        width: Units in each of the two hidden layers of its networks.

    References:
        Dai & Wipf 2019, Diagnosing and Enhancing VAE Models, arXiv 1903.05789, sec. 4.
    """
    standard = Standard(codes)
    model = _Second(codes.shape[1], width).to(codes)
    fit(model, lambda z: model.bound(standard(z)), codes)
    return Decoded(standard, model)
