"""Where annealing takes place: Euclidean coordinates u of the latent space of any prior."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, constraints

from vaebench.evaluation.annealing.streams import Streams, seeded

#: Beyond this many standard deviations Φ(u) is 0 or 1 in float32.
_NORMAL_EDGE = 5.0
Map = Callable[[Tensor], Tensor]


def standard_normal(u: Tensor) -> Tensor:
    """log N(u; 0, I) (...) in float64 for u (..., D)."""
    return -0.5 * (u.double().square().sum(-1) + u.shape[-1] * math.log(2 * math.pi))


@dataclass(frozen=True)
class LatentSpace:
    """Coordinates u in R^D with z = `to_z(u)`, in which the prior is N(0, I).

    Attributes:
        features: D.
        to_z: Maps u (..., D) to z (..., D), differentiable.
        dtype: Precision of z.
        device: Where z lives.
    """

    features: int
    to_z: Map
    dtype: torch.dtype
    device: torch.device

    @property
    def few(self) -> bool:
        """So few latents that it costs little to look everywhere."""
        return self.features <= 4

    def draw(self, streams: Streams, draws: int) -> Tensor:
        """Draws u (draws, B, D) of the prior."""
        return streams.normal(draws, self.features, dtype=self.dtype)

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior in u (...), differentiable, float64."""
        return standard_normal(u)

    def prior(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log-density of the prior and its gradient at u (K, B, D)."""
        return standard_normal(u), -u

    def from_z(self, z: Tensor) -> Tensor | None:
        """Some u with to_z(u) = z for z (..., D), or None where no way back is known."""
        back = self.to_z(z)
        same = back.shape == z.shape and torch.allclose(back, z, rtol=1e-3, atol=1e-3)
        return z if same else None

    def height(self, u: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """What is added to log p(x, u) and its gradient where a mode is looked for."""
        return 0.0, 0.0


class _OtherPrior(LatentSpace):
    """Coordinates in which the prior is not normal."""

    def prior(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log-density of the prior and its gradient at u (K, B, D)."""
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            value = self.log_prior(u)
            (gradient,) = torch.autograd.grad(value.sum(), u)
        return value.detach(), gradient


@dataclass(frozen=True)
class OwnCoordinates(_OtherPrior):
    """A prior on R^D, annealed in z itself.

    Attributes:
        distribution: The prior.
    """

    distribution: Distribution

    def draw(self, streams: Streams, draws: int) -> Tensor:
        """Draws u (draws, B, D) of the prior."""
        return streams.draw(self.distribution, draws)

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior in u (...), differentiable, float64."""
        return self.distribution.log_prob(u).double()


class Directions(_OtherPrior):
    """u of which only the direction matters, such as those of a sphere.

    The length of u is free: it gets the law N(R, 1), far from 0. Under N(0, I) the posterior
    would be a cone whose tip no step size fits.
    """

    @property
    def radius(self) -> float:
        """R."""
        return max(5.0, math.sqrt(2 * self.features))

    def draw(self, streams: Streams, draws: int) -> Tensor:
        """Draws u (draws, B, D) of the prior."""
        length = self.radius + streams.normal(draws, 1, dtype=self.dtype)
        u = streams.normal(draws, self.features, dtype=self.dtype)
        return u * (length / u.norm(dim=-1, keepdim=True))

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior in u (...), differentiable, float64."""
        length = u.double().square().sum(-1).clamp_min(1e-12).sqrt()
        half = 0.5 * self.features
        area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)
        radial = -0.5 * (length - self.radius).square() - 0.5 * math.log(2 * math.pi)
        return radial - (self.features - 1) * length.log() - area

    def from_z(self, z: Tensor) -> Tensor | None:
        """Some u with to_z(u) = z for z (..., D), or None where no way back is known."""
        return super().from_z(z * (self.radius / z.norm(dim=-1, keepdim=True)))

    def height(self, u: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """The volume at each length, without which the density is highest at 0."""
        square = u.square().sum(-1, keepdim=True)
        extra = self.features - 1
        return 0.5 * extra * square[..., 0].double().log(), extra * u / square


def _through_cdf(prior: Distribution) -> Map:
    base = prior.base_dist if isinstance(prior, Independent) else prior

    def to_z(u: Tensor) -> Tensor:
        return base.icdf(torch.special.ndtr(u.clamp(-_NORMAL_EDGE, _NORMAL_EDGE)))

    return to_z


def _on_real_vectors(prior: Distribution) -> bool:
    support: Any = prior.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support is constraints.real or support is constraints.real_vector


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
    place = (prior.event_shape[0], z.dtype, z.device)

    def normal_space(to_z: Map) -> LatentSpace:
        return LatentSpace(place[0], to_z, *place[1:])

    if hasattr(prior, "from_normal"):
        u = torch.linspace(0.3, 1.0, place[0], dtype=z.dtype, device=z.device)
        if torch.allclose(prior.from_normal(u), prior.from_normal(2 * u), rtol=1e-3):
            return Directions(place[0], prior.from_normal, *place[1:])
        return normal_space(prior.from_normal)
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        normal = prior.base_dist
        if (normal.loc == 0).all() and (normal.scale == 1).all():
            return normal_space(lambda u: u)
        return normal_space(lambda u: normal.loc + normal.scale * u)
    if isinstance(prior, MultivariateNormal):
        return normal_space(lambda u: prior.loc + u @ prior.scale_tril.mT)
    if not z.is_floating_point() or getattr(prior.support, "is_discrete", False):
        raise ValueError(
            "The prior is discrete: annealing does not apply, importance weights do "
            "(importance_bound; the column iwae_K)."
        )
    if _on_real_vectors(prior):
        return OwnCoordinates(place[0], lambda u: u, *place[1:], prior)
    to_z = _through_cdf(prior)
    try:
        to_z(torch.zeros_like(z))
    except NotImplementedError:
        raise ValueError(
            f"{name} names no map from a standard normal: give it a method from_normal(u)."
        ) from None
    return normal_space(to_z)
