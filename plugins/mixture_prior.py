"""A learned mixture of Gaussians as the prior."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from vaebench import Gaussian, Variant, hookimpl


class GaussianMixture(MixtureSameFamily):
    """Σ_k π_k N(μ_k, diag σ_k²), of which a draw makes that of its own component alone.

    Args:
        logits: Unnormalised log-probabilities (K,).
        components: Independent normals, batch shape (K,), event shape (D,).
    """

    def __init__(self, logits: Tensor, components: Distribution) -> None:
        weights = Categorical(logits=logits, validate_args=False)
        super().__init__(weights, components, validate_args=False)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D)."""
        with torch.no_grad():
            k = self.mixture_distribution.sample(torch.Size(sample_shape))
            each = self.component_distribution
            return torch.normal(each.mean[k], each.stddev[k])


class MixturePrior(Gaussian):
    """The Gaussian posterior, against p(z) = Σ_k π_k N(z; μ_k, diag σ_k²), all of it learned.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        components: K; with 1 it is a Gaussian of learned mean and scales.

    Raises:
        ValueError: No component.
    """

    def __init__(self, features: int, context: int, components: int = 32) -> None:
        super().__init__(features, context)
        if components < 1:
            raise ValueError(f"A mixture has at least one component, not {components}.")
        # Half of a variance of one between the components, half within; alike they would stay so.
        between = math.sqrt(0.5) * (components > 1)
        within = 0.5 if components > 1 else 1.0
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(between * torch.randn(components, features))
        self.log_scale = nn.Parameter(torch.full((components, features), math.log(within) / 2))

    def prior(self) -> Distribution:
        """The mixture."""
        each = Normal(self.loc, self.log_scale.exp(), validate_args=False)
        return GaussianMixture(self.logits, Independent(each, 1))


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Gaussian posterior against a learned mixture, trained with the ELBO."""
    return [
        Variant(
            "mixture-prior",
            MixturePrior,
            reference="Tomczak & Welling 2018, arXiv 1705.07120, sec. 4 (MoG prior)",
            family="priors",
            description="A learned mixture of diagonal Gaussians p(z) = Σ π_k N(μ_k, σ_k²) as "
            "the prior.",
        )
    ]
