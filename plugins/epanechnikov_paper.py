"""The Epanechnikov VAE as published: a kernel and box noise, with a penalty in place of the KL.

`epanechnikov` is the exact posterior on the same kernel. Here z = b (μ + r k) + U, where U has the
prior's law: uniform on a box of side B. The draws leave the box, so that KL(q || p) is infinite;
the objective replaces it by an asymptotic expression that shrinks with the batch and ignores μ.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Uniform, constraints

from vaebench import Draw, Gaussian, Variant, hookimpl

#: The paper's step size b = 100^(-2/9).
STEP = 100 ** (-2 / 9)


class KernelOverBox(Distribution):
    """The law of STEP (loc + scale k) + U: k Epanechnikov on [-1, 1], U uniform, univariate.

    Args:
        loc: Centre of the kernel (...).
        scale: Half-width of the kernel (...).
        length: B; U is uniform on [-B/2, B/2].
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, length: float) -> None:
        self.loc, self.scale, self.length = loc, scale, length
        super().__init__(loc.shape, validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The kernel's interval, longer by B/2 on both sides."""
        reach = STEP * self.scale + self.length / 2
        return constraints.interval(self.mean - reach, self.mean + reach)

    @property
    def mean(self) -> Tensor:
        """STEP loc (...)."""
        return STEP * self.loc

    @property
    def variance(self) -> Tensor:
        """STEP² scale² / 5 + B² / 12 (...)."""
        return (STEP * self.scale).square() / 5 + self.length**2 / 12

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws, k as the median of three uniforms (algorithms 1 and 2)."""
        shape = self._extended_shape(sample_shape)
        uniforms = torch.rand(4, *shape, dtype=self.loc.dtype, device=self.loc.device)
        k = 2 * uniforms[:3].median(0).values - 1
        return STEP * (self.loc + self.scale * k) + self.length * (uniforms[3] - 0.5)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the convolution: the kernel's mass within B/2 of value, over B."""
        u = (value - self.mean) / (STEP * self.scale)
        half = self.length / (2 * STEP * self.scale)
        low, high = (u - half).clamp_min(-1), (u + half).clamp_max(1)
        width = torch.minimum(2 * half, 1 + half - u.abs()).clamp_max(2)
        mass = width * (3 - low.square() - low * high - high.square()) / 4
        inside = (width > 0) & (mass > 0)
        density = torch.where(inside, mass, 1.0).log() - math.log(self.length)
        return torch.where(inside, density, -math.inf)


class KernelPosterior(Gaussian):
    """z = STEP (μ(h) + r(h) k) + U, against the uniform box that U comes from.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        length: B, the side of the box.
    """

    def __init__(self, features: int, context: int, length: float = 0.1) -> None:
        super().__init__(features, context)
        if not length > 0:
            raise ValueError(f"The box has a positive side, not {length}.")
        self.length = length

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to independent factors."""
        q = super().forward(h)
        return Independent(KernelOverBox(q.mean, q.stddev, self.length), 1)

    def prior(self) -> Distribution:
        """The uniform distribution on the box [-B/2, B/2]^D."""
        zeros: Any = self._zeros
        half = self.length / 2
        return Independent(Uniform(zeros - half, zeros + half, validate_args=False), 1)


def published(draw: Draw) -> Tensor:
    """E_q[log p(x|z)] - 3 B / (5 M) Σ_d 1 / r_d, (B,) nats, with M the batch size; eq. 10."""
    q: Any = draw.q
    kernel = q.base_dist
    penalty = 3 * kernel.length / (5 * len(kernel.scale)) * kernel.scale.reciprocal().sum(-1)
    return draw.mean(draw.log_px) - draw.kl_weight * penalty


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The published heuristic with B = 0.1, as in the paper's tables."""
    return [
        Variant(
            "epanechnikov-paper",
            KernelPosterior,
            objective=published,
            deviations={
                "bound": "the KL, which is infinite, is replaced by 3B/(5M) Σ 1/r",
                "support": "the draws leave the prior's box",
            },
            reference="Qin & Huang 2024, arXiv 2405.12783, eq. 10",
            family="posteriors",
            description="The published heuristic: box prior, and 3B/(5M) Σ 1/r in place of the "
            "KL, which is infinite.",
        )
    ]
