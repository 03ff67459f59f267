"""A Laplace posterior: the Gaussian's two heads on a density with a peak and heavier tails."""

import math

from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace

from vaebench import Gaussian, Variant, hookimpl


class LaplacePosterior(Gaussian):
    """Mean and standard deviation of the Gaussian posterior, on Laplace factors."""

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to independent Laplace factors of scale deviation / √2."""
        q = super().forward(h)
        return Independent(Laplace(q.mean, q.stddev / math.sqrt(2), validate_args=False), 1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Laplace posterior against N(0, I), trained with the ELBO."""
    return [
        Variant(
            "laplace",
            LaplacePosterior,
            reference="Kingma & Welling 2014, sec. 2.4",
            family="posteriors",
            description="Independent Laplace distributions, q(z) ∝ exp(−|z − μ| / b), against "
            "N(0, I).",
        )
    ]
