"""Inverse autoregressive flow: a Gaussian made flexible by gated autoregressive steps."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import linear, logsigmoid

from vaebench import Gaussian, Posterior, Variant, hookimpl


class GatedStep(nn.Module):
    """z ← σ(s) z + (1 - σ(s)) m, where m_i and s_i see the context and the z before z_i.

    A masked network with one hidden layer gives m and s. The hidden layer is bounded, so that no
    feature, however large, closes a gate for good.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        width: The number of hidden units, spread over the D possible numbers of inputs.
        reverse: Let the last dimension come first.
    """

    before: Tensor
    after: Tensor
    order: Tensor

    def __init__(self, features: int, context: int, width: int, reverse: bool) -> None:
        super().__init__()
        self.split = [features, context]
        self.hidden = nn.Linear(features + context, width)
        self.out = nn.Linear(width, 2 * features)
        nn.init.constant_(self.out.bias[features:], 2.0)  # gates start open, near the identity
        # Unit k sees the first inputs[k] dimensions; the i-th one follows units that see up to i.
        order, inputs = torch.arange(features), torch.arange(width) * features // width
        self.ready = inputs.bincount(minlength=features).tolist()
        order = order.flip(0) if reverse else order
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("before", inputs[:, None] > order, persistent=False)
        self.register_buffer("after", (order[:, None] >= inputs).repeat(2, 1), persistent=False)

    def _weights(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The part of the hidden layer that h (B, F) fixes, and the masked weights for z."""
        of_z, of_h = self.hidden.weight.split(self.split, 1)
        fixed = linear(h, of_h, self.hidden.bias)
        return fixed, of_z * self.before, self.out.weight * self.after

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Draws z (..., B, D) and context h (B, F) to the next z and log |det dz'/dz| (..., B)."""
        fixed, inner, outer = self._weights(h)
        m, s = linear(torch.tanh(linear(z, inner) + fixed), outer, self.out.bias).chunk(2, -1)
        return torch.lerp(m, z, torch.sigmoid(s)), logsigmoid(s).sum(-1)

    def inverse(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The z before the step, one dimension after the other, and log |det| of the step.

        Each hidden unit is computed once, when the last dimension that it sees is known.
        """
        hidden, inner, outer = self._weights(h)
        inner = inner[:, self.order].T
        outer = outer.unflatten(0, (2, -1))[:, self.order].permute(2, 1, 0)
        following = self.out.bias.unflatten(0, (2, -1))[:, self.order].T
        z, log_det, done = z[..., self.order], z.new_zeros(z.shape[:-1]), 0
        found: list[Tensor] = []
        for i, count in enumerate(self.ready):
            if count:
                new, hidden = hidden.split([count, hidden.shape[-1] - count], -1)
                weight = outer[done : done + count, i:].flatten(1)
                following = following + (torch.tanh(new) @ weight).unflatten(-1, (-1, 2))
                done += count
            m, s = following[..., 0, :].unbind(-1)
            following = following[..., 1:, :]
            gate = torch.sigmoid(s)
            found.append((z[..., i] - (1 - gate) * m) / gate)
            log_det = log_det + logsigmoid(s)
            hidden = hidden + found[-1].unsqueeze(-1) * inner[i, done:]
        return torch.stack(found, -1)[..., self.order], log_det


class InverseAutoregressiveFlow(Distribution):
    """The draws of `base`, (B,) + (D,), carried through gated steps.

    Drawing takes one pass a step; the density at an arbitrary z needs the D dimensions in turn.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, steps: Sequence[GatedStep], context: Tensor) -> None:
        self.base, self.steps, self.context = base, steps, context
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample_and_log_prob(
        self, sample_shape: list[int] | tuple[int, ...] = ()
    ) -> tuple[Tensor, Tensor]:
        """Draws z (..., B, D) with log q(z) (..., B) in nats, in one pass."""
        z = self.base.rsample(sample_shape)
        log_q = self.base.log_prob(z)
        for step in self.steps:
            z, log_det = step(z, self.context)
            log_q = log_q - log_det
        return z, log_q

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., B, D)."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) (..., B) in nats, by inversion of every step."""
        z, log_det = value, value.new_zeros(())
        for step in reversed(self.steps):
            z, step_det = step.inverse(z, self.context)
            log_det = log_det + step_det
        return self.base.log_prob(z) - log_det


class IAFPosterior(Posterior):
    """A diagonal Gaussian through T gated steps that see the encoder's features, against N(0, I).

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
        self.base = Gaussian(features, context)
        self.steps = nn.ModuleList(
            GatedStep(features, context, width, reverse=t % 2 == 1) for t in range(steps)
        )

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the flow."""
        return InverseAutoregressiveFlow(self.base(h), list(self.steps), h)  # type: ignore[arg-type]


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Two gated steps, trained with the ELBO."""
    return [
        Variant(
            "iaf",
            IAFPosterior,
            reference="Kingma et al. 2016, arXiv 1606.04934",
            family="posteriors",
            description="Inverse autoregressive flow: a Gaussian sent through steps z ← "
            "μ(z_<d) + σ(z_<d) z.",
        )
    ]
