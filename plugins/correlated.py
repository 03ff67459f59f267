"""Gaussians with correlated dimensions: a full covariance, and a rotation by reflections."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    constraints,
    register_kl,
)
from torch.nn.functional import normalize

from vaebench import Gaussian, Posterior, Variant, hookimpl


def _standard(p: Independent) -> bool:
    """Whether p is N(0, I), which rotations leave alone."""
    base = p.base_dist
    return isinstance(base, Normal) and bool((base.loc == 0).all() and (base.scale == 1).all())


class FullGaussian(MultivariateNormal):
    """N(loc, L Lᵀ), for a KL of its own."""


@register_kl(FullGaussian, Independent)
def _kl_full_standard(q: FullGaussian, p: Independent) -> Tensor:
    if not _standard(p):
        raise NotImplementedError("KL to N(0, I) alone.")
    squares = q.scale_tril.square().sum((-2, -1)) + q.loc.square().sum(-1)
    log_det = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return (squares - q.loc.shape[-1]) / 2 - log_det


class FullPosterior(Posterior):
    r"""N(loc, L Lᵀ) with L = diag(scale) (I + N), N strictly lower triangular, against N(0, I).

    The encoder chooses N up to a Frobenius norm of 2 √D, so that L can be inverted in float32
    whatever the features are.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
    """

    places: Tensor

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.base = Gaussian(features, context)
        places = torch.tril_indices(features, features, -1)
        self.register_buffer("places", places, persistent=False)
        self.below = nn.Linear(context, places.shape[1]) if features > 1 else None

    def _shrunk(self, raw: Tensor) -> Tensor:
        """The factor (..., 1) that keeps the norm of entries (..., n) below 2 √D, 1 near 0."""
        most = 4 * self.features
        return (most / (most + raw.square().sum(-1, keepdim=True))).sqrt()

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the Gaussian."""
        q = self.base(h)
        lower = torch.zeros(*h.shape[:-1], *2 * [self.features], dtype=h.dtype, device=h.device)
        if self.below is not None:
            raw = self.below(h)
            row, column = self.places
            lower[..., row, column] = raw * self._shrunk(raw)
        lower = lower + torch.eye(self.features, dtype=h.dtype, device=h.device)
        return FullGaussian(q.mean, scale_tril=q.stddev[..., None] * lower, validate_args=False)


class HouseholderGaussian(Distribution):
    """A diagonal Gaussian, (B,) + (D,), reflected at T planes through 0, one after the other.

    Args:
        base: The Gaussian before the reflections.
        normals: Unit normals of the planes (B, T, D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Distribution, normals: Tensor) -> None:
        self.base, self.normals = base, normals
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def reflected(self, z: Tensor, steps: Any) -> Tensor:
        """Points z (..., B, D) after the reflections with these numbers, one after the other."""
        for step in steps:
            normal = self.normals[..., step, :]
            z = z - 2 * (normal * z).sum(-1, keepdim=True) * normal
        return z

    @property
    def order(self) -> range:
        """The numbers of the reflections, as noise meets them."""
        return range(self.normals.shape[-2])

    @property
    def mean(self) -> Tensor:
        """The reflected mean (B, D)."""
        return self.reflected(self.base.mean, self.order)

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance (B, D)."""
        axes = torch.diag_embed(self.base.stddev).movedim(-2, 0)
        return self.reflected(axes, self.order).square().sum(0)

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., B, D)."""
        return self.reflected(self.base.rsample(sample_shape), self.order)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) (..., B) in nats: a reflection is its own inverse and keeps volumes."""
        return self.base.log_prob(self.reflected(value, reversed(self.order)))


@register_kl(HouseholderGaussian, Independent)
def _kl_householder_standard(q: HouseholderGaussian, p: Independent) -> Tensor:
    if not _standard(p):
        raise NotImplementedError("KL to N(0, I) alone.")
    square = q.base.variance + q.base.mean.square()
    return ((square - 1) / 2 - q.base.stddev.log()).sum(-1)


class HouseholderPosterior(Posterior):
    """A diagonal Gaussian through T Householder reflections, against N(0, I).

    The normal of the first plane is a linear function of the encoder's features, that of each next
    one of the normal before it.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        steps: T, the number of reflections, 1 or more.

    Raises:
        ValueError: There is no reflection.
    """

    def __init__(self, features: int, context: int, steps: int = 10) -> None:
        super().__init__(features, context)
        if steps < 1:
            raise ValueError(f"steps >= 1, not {steps}.")
        self.base = Gaussian(features, context)
        self.first = nn.Linear(context, features)
        self.next = nn.ModuleList(nn.Linear(features, features) for _ in range(steps - 1))

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to the Gaussian."""
        normals = [normalize(self.first(h), dim=-1)]
        for layer in self.next:
            normals.append(normalize(layer(normals[-1]), dim=-1))
        return HouseholderGaussian(self.base(h), torch.stack(normals, -2))


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The Gaussian with full covariance, trained with the ELBO."""
    return [
        Variant(
            "full",
            FullPosterior,
            reference="Kingma & Welling 2019, arXiv 1906.02691, sec. 2.5.1",
            family="posteriors",
            description="Gaussian with full covariance, q(z|x) = N(μ(x), L(x) L(x)ᵀ), and its "
            "exact KL.",
        )
    ]


class Householder:
    """The plugin `householder`."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """Ten reflections, trained with the ELBO."""
        return [
            Variant(
                "householder",
                HouseholderPosterior,
                reference="Tomczak & Welling 2016, arXiv 1611.09630",
                family="posteriors",
                description="Householder flow: a diagonal Gaussian turned by reflections z ← z − "
                "2 v vᵀz / |v|² that the encoder chooses.",
            )
        ]
