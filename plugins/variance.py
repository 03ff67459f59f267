"""A posterior without a mean: all that a code can say lies in its variances."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import softplus

from vaebench import Posterior, Variant, hookimpl


class Centred(Normal):
    """N(0, scale²), of which the scale alone is free."""

    arg_constraints: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "scale": constraints.positive
    }


class VariancePosterior(Posterior):
    """q(z|x) = N(0, diag scale(h)²), against N(0, I).

    Neklyudov et al. put distributions without a mean on the weights of a network; those are left
    out here, since they are not a posterior of the code.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
    """

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.head = nn.Linear(context, features)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the Gaussian."""
        scale = softplus(self.head(h)) + 1e-4
        return Independent(Centred(torch.zeros_like(scale), scale, validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Variances alone, trained with the ELBO."""
    return [
        Variant(
            "variance",
            VariancePosterior,
            reference="Neklyudov et al. 2019, arXiv 1803.03764",
            family="posteriors",
            description="A posterior without a mean, q(z|x) = N(0, σ(x)²): a control for what "
            "means are worth.",
        )
    ]
