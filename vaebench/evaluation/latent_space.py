"""Where annealing takes place: Euclidean coordinates u of the latent space of any prior."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaebench.evaluation.streams import seeded

#: Beyond this many standard deviations Φ(u) is 0 or 1 in float32.
_NORMAL_EDGE = 5.0


@dataclass(frozen=True)
class LatentSpace:
    """Coordinates u in R^D with z = `to_z(u)`.

    Attributes:
        features: D.
        to_z: Maps u (..., D) to z (..., D), differentiable.
        log_prior: log-density of the prior in u, where it is not N(0, I).
        radial: z depends on the direction of u only.
        dtype: Precision of z.
        device: Where z lives.
    """

    features: int
    to_z: Callable[[Tensor], Tensor]
    log_prior: Callable[[Tensor], Tensor] | None
    radial: bool
    dtype: torch.dtype
    device: torch.device

    @property
    def normal(self) -> bool:
        """The prior of u is N(0, I)."""
        return self.log_prior is None

    def from_z(self, z: Tensor) -> Tensor | None:
        """Some u with to_z(u) = z for z (..., D), or None where no way back is known."""
        u = z * math.sqrt(self.features) if self.radial else z
        back = self.to_z(u)
        same = back.shape == z.shape and torch.allclose(back, z, rtol=1e-3, atol=1e-3)
        return u if same else None


def _identity(u: Tensor) -> Tensor:
    return u


def _through_cdf(prior: Distribution) -> Callable[[Tensor], Tensor]:
    base = prior.base_dist if isinstance(prior, Independent) else prior

    def to_z(u: Tensor) -> Tensor:
        return base.icdf(torch.special.ndtr(u.clamp(-_NORMAL_EDGE, _NORMAL_EDGE)))

    return to_z


def _is_standard(prior: Distribution) -> bool:
    if not isinstance(prior, Independent) or not isinstance(prior.base_dist, Normal):
        return False
    normal = prior.base_dist
    return bool((normal.loc == 0).all() and (normal.scale == 1).all())


def _euclidean(prior: Distribution) -> bool:
    support = prior.support
    support = getattr(support, "base_constraint", support)
    return support is torch.distributions.constraints.real or (
        prior.support is torch.distributions.constraints.real_vector
    )


def latent_space(prior: Distribution) -> LatentSpace:
    """The Euclidean coordinates in which a prior is annealed.

    A prior with `from_normal(u)` names its own map from a standard normal; a normal prior is one;
    other priors on R^D are annealed in z itself; factorised continuous priors with an inverse
    distribution function go through it.

    Args:
        prior: p(z), batch shape (), event shape (D,).

    Raises:
        ValueError: The prior is discrete, or of a kind that offers none of these ways.
    """
    if prior.batch_shape or len(prior.event_shape) != 1:
        raise ValueError(
            f"A prior has batch shape () and event shape (D,), not {tuple(prior.batch_shape)} and "
            f"{tuple(prior.event_shape)}."
        )
    name = type(prior).__name__
    with seeded(0), torch.no_grad():
        z = prior.sample()
    features = prior.event_shape[0]

    def space(
        to_z: Callable[[Tensor], Tensor],
        log_prior: Callable[[Tensor], Tensor] | None = None,
        radial: bool = False,
    ) -> LatentSpace:
        return LatentSpace(features, to_z, log_prior, radial, z.dtype, z.device)

    if hasattr(prior, "from_normal"):
        u = torch.linspace(0.3, 1.0, features, dtype=z.dtype, device=z.device)
        near, far = prior.from_normal(u), prior.from_normal(2 * u)
        return space(prior.from_normal, radial=bool(torch.allclose(near, far, rtol=1e-3)))
    if _is_standard(prior):
        return space(_identity)
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        normal = prior.base_dist
        return space(lambda u: normal.loc + normal.scale * u)
    if isinstance(prior, MultivariateNormal):
        return space(lambda u: prior.loc + u @ prior.scale_tril.mT)
    if not z.is_floating_point() or prior.support.is_discrete:
        raise ValueError(
            f"{name} is a discrete prior: annealing does not apply, use importance_bound."
        )
    if _euclidean(prior):
        return space(_identity, prior.log_prob)
    to_z = _through_cdf(prior)
    try:
        to_z(torch.zeros_like(z))
    except NotImplementedError:
        raise ValueError(
            f"{name} names no map from a standard normal: give it a method from_normal(u)."
        ) from None
    return space(to_z)
