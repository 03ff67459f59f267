"""A Laplace posterior: the Gaussian's two heads on a density with a peak and heavier tails."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace

from vaebench import Gaussian, Variant, hookimpl


class LaplacePosterior(Gaussian):
    """Mean and standard deviation of the Gaussian posterior, on Laplace factors.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        prior: ``normal``, N(0, I), or ``laplace``, independent Laplace factors of scale 1 (Vafaii
            et al. 2024, arXiv 2405.14473, the L-VAE).
    """

    def __init__(self, features: int, context: int, prior: str = "normal") -> None:
        super().__init__(features, context)
        if prior not in ("normal", "laplace"):
            raise ValueError(f"The prior is normal or laplace, not {prior!r}.")
        self.peaked = prior == "laplace"

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to independent Laplace factors of scale deviation / √2."""
        q = super().forward(h)
        return Independent(Laplace(q.mean, q.stddev / math.sqrt(2), validate_args=False), 1)

    def prior(self) -> Distribution:
        """N(0, I), or Laplace factors of scale 1."""
        if not self.peaked:
            return super().prior()
        zeros: Any = self._zeros
        return Independent(Laplace(zeros, torch.ones_like(zeros), validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Laplace posterior, trained with the ELBO."""
    return [
        Variant(
            "laplace",
            LaplacePosterior,
            reference="Kingma & Welling 2014, sec. 2.4",
            family="posteriors",
            description="Independent Laplace distributions, q(z) ∝ exp(−|z − μ| / b), against "
            "N(0, I) or, with prior=laplace, their like.",
        )
    ]
