"""No latent variable: what the decoder knows of the data by itself, as a control."""

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from vaebench import Posterior, Variant, hookimpl


class Nothing(Distribution):
    """z = 0 (..., D) with probability one, which is its density with respect to counting."""

    arg_constraints: ClassVar = {}
    support = constraints.independent(constraints.integer_interval(0, 0), 1)
    has_rsample = True

    def __init__(self, zeros: Tensor) -> None:
        self.zeros = zeros
        super().__init__(zeros.shape[:-1], zeros.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """0, (..., D)."""
        return self.zeros

    @property
    def variance(self) -> Tensor:
        """0, (..., D)."""
        return self.zeros

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Zeros, for each draw."""
        return self.zeros.expand(self._extended_shape(Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """0 for z = 0, -inf for all else."""
        return torch.where((value == 0).all(-1), 0.0, -math.inf).to(value)

    def from_normal(self, u: Tensor) -> Tensor:
        """Anything (..., D) to 0: annealing then finds log p(x|0) at once."""
        return 0 * u


class Alone(Posterior):
    """q(z|x) = p(z) = the point 0: log p(x) = log p(x|0), exactly."""

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F), of which nothing is used."""
        zeros: Any = self._zeros
        return Nothing(zeros.expand(len(h), -1))

    def prior(self) -> Distribution:
        """The point 0."""
        zeros: Any = self._zeros
        return Nothing(zeros)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The decoder alone: of text a language model, whose log p(x) is exact."""
    return [
        Variant(
            "none",
            Alone,
            deviations={
                "parameters": "nothing is learnt about x: its features are not used",
                "seeds": "there is one draw",
            },
            family="controls",
            description="No latent variable: z = 0 always, so that log p(x) = log p(x|z = 0) is "
            "exact; of text it is the decoder's language model, which a VAE has to beat.",
        )
    ]
