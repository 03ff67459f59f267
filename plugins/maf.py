"""Masked autoregressive flow as a posterior: each dimension is a Gaussian given those before it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from vaebench import Gaussian, Posterior, Variant, hookimpl


class MaskedAutoregressiveFlow(Distribution):
    """What gated autoregressive steps carry to `base`, (B,) + (D,).

    With a Gaussian base, z_i given z_1 … z_{i-1} is Gaussian for one step. The density takes one
    pass a step; drawing needs the D dimensions in turn, the inverse of an IAF's.

    Args:
        base: The distribution after the last step.
        steps: From z to the base.
        context: Features (B, F) that every step sees.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, steps: Sequence[Any], context: Tensor) -> None:
        self.base, self.steps, self.context = base, steps, context
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample_and_log_prob(
        self, sample_shape: list[int] | tuple[int, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Draws z (..., B, D) with log q(z) (..., B) in nats."""
        z = self.base.rsample(sample_shape)
        log_q = self.base.log_prob(z)
        for step in reversed(self.steps):
            z, log_det = step.inverse(z, self.context)
            log_q = log_q + log_det
        return z, log_q

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., B, D)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) (..., B) in nats, in one pass."""
        z, total = value, value.new_zeros(())
        for step in self.steps:
            z, log_det = step(z, self.context)
            total = total + log_det
        return self.base.log_prob(z) + total


class MAFPosterior(Posterior):
    """T gated autoregressive steps from z to a diagonal Gaussian, which all see the features.

    A step is that of `iaf`, z ← σ(s) z + (1 - σ(s)) m with m_i and s_i from z_1 … z_{i-1}, whose
    order turns from step to step.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        steps: T; with 0 it is the diagonal Gaussian.
        width: Hidden units of each step's network.

    Raises:
        ValueError: A negative number of steps, or no hidden unit.
    """

    def __init__(self, features: int, context: int, steps: int = 2, width: int = 128) -> None:
        super().__init__(features, context)
        if steps < 0 or width < 1:
            raise ValueError(f"steps >= 0 and width >= 1, not {steps} and {width}.")
        from vaebench_plugins.iaf import GatedStep

        self.base = Gaussian(features, context)
        self.steps = nn.ModuleList(
            GatedStep(features, context, width, reverse=t % 2 == 1) for t in range(steps)
        )

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the flow."""
        return MaskedAutoregressiveFlow(self.base(h), list(self.steps), h)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Two gated steps, trained with the ELBO."""
    return [
        Variant(
            "maf",
            MAFPosterior,
            reference="Papamakarios et al. 2017, arXiv 1705.07057",
            family="posteriors",
            description="Masked autoregressive flow: q(z|x) = Π q(z_d | z_<d, x) by steps whose "
            "inverse is that of an IAF.",
        )
    ]
