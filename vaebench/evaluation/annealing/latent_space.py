"""Where annealing takes place: Euclidean coordinates u of the latent space of any prior."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

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

    Coordinates are float64, whatever the precision of z.

    Attributes:
        features: D.
        to_z: Maps u (..., D) to z (..., D), differentiable, in the precision of z.
        dtype: Precision of z.
        device: Where z lives.
        batch: Number of images that the prior has parameters for, None where all share it.
        images: Which of these the coordinates are of; None for all.
    """

    features: int
    to_z: Map
    dtype: torch.dtype
    device: torch.device
    batch: int | None = None
    images: Tensor | None = None

    def take(self, images: Tensor) -> Self:
        """The coordinates of some of the images."""
        if self.batch is None:
            return self
        images = images.to(self.device)
        return replace(self, images=images if self.images is None else self.images[images])

    def _of_images(self, function: Map, u: Tensor) -> Tensor:
        """A function of all images' coordinates (K, batch, D), at those of some (K, B, D)."""
        if self.images is None:
            return function(u)
        place = torch.zeros(self.batch or 0, dtype=torch.long, device=u.device)
        place[self.images] = torch.arange(len(self.images), device=u.device)
        return function(u[:, place])[:, self.images]

    def z(self, u: Tensor) -> Tensor:
        """Coordinates u (K, B, D) to z (K, B, D) in its own precision, differentiable."""
        return self._of_images(self.to_z, u.to(self.dtype))

    @property
    def few(self) -> bool:
        """So few latents that it costs little to look everywhere."""
        return self.features <= 4

    def draw(self, streams: Streams, draws: int) -> Tensor:
        """Draws u (draws, B, D) of the prior."""
        return streams.normal(draws, self.features, dtype=torch.float64)

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior (K, B) at u (K, B, D), differentiable, float64."""
        return standard_normal(u)

    def prior(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log-density of the prior and its gradient at u (K, B, D)."""
        return standard_normal(u), -u

    def from_z(self, z: Tensor) -> Tensor | None:
        """Some u with to_z(u) = z for z (K, B, D), or None where no way back is known."""
        back = self.z(z)
        same = back.shape == z.shape and torch.allclose(back, z, rtol=1e-3, atol=1e-3)
        return z.double() if same else None

    def opposite(self, u: Tensor) -> Tensor:
        """Points twice as far out on the other side (K, B, D), to find what draws u miss."""
        return -2 * u

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

    distribution: Distribution = field(kw_only=True)

    def opposite(self, u: Tensor) -> Tensor:
        """Points twice as far out on the other side (K, B, D), to find what draws u miss."""
        return 3 * u.mean(0) - 2 * u

    def draw(self, streams: Streams, draws: int) -> Tensor:
        """Draws u (draws, B, D) of the prior."""
        images = range(self.batch) if self.batch and self.images is None else self.images
        return streams.draw(self.distribution, draws, images).double()

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior (K, B) at u (K, B, D), differentiable, float64."""
        return self._of_images(self.distribution.log_prob, u.to(self.dtype)).double()


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
        length = self.radius + streams.normal(draws, 1, dtype=torch.float64)
        u = streams.normal(draws, self.features, dtype=torch.float64)
        return u * (length / u.norm(dim=-1, keepdim=True))

    def log_prior(self, u: Tensor) -> Tensor:
        """log-density of the prior (K, B) at u (K, B, D), differentiable, float64."""
        length = u.double().square().sum(-1).clamp_min(1e-12).sqrt()
        half = 0.5 * self.features
        area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)
        radial = -0.5 * (length - self.radius).square() - 0.5 * math.log(2 * math.pi)
        return radial - (self.features - 1) * length.log() - area

    def from_z(self, z: Tensor) -> Tensor | None:
        """Some u with to_z(u) = z for z (K, B, D), or None where no way back is known."""
        return super().from_z(z * (self.radius / z.norm(dim=-1, keepdim=True)))

    def opposite(self, u: Tensor) -> Tensor:
        """Points on the other side (K, B, D), to find what draws u miss."""
        return -u

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


def _own_map(prior: Distribution, z: Tensor) -> Map | None:
    """The prior's `from_normal`; None where it has none, or one that leads nowhere at z."""
    own: Map | None = getattr(prior, "from_normal", None)
    with suppress(NotImplementedError):
        if own is not None:
            own(torch.ones_like(z))
            return own
    return None


def _on_real_vectors(prior: Distribution) -> bool:
    support: Any = prior.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support is constraints.real or support is constraints.real_vector


def latent_space(prior: Distribution, batch: int | None = None) -> LatentSpace:
    """The Euclidean coordinates in which a prior is annealed.

    A prior with `from_normal(u)` names its own map from a standard normal; a normal prior is one;
    other priors on R^D are annealed in z itself; factorised continuous priors with an inverse
    distribution function go through it.

    Args:
        prior: p(z), event shape (D,), and batch shape () or, for one prior an image, (batch,).
        batch: Number of images.

    Raises:
        ValueError: The prior is discrete, or of another shape, or of a kind that offers none of
            these ways.
    """
    if tuple(prior.batch_shape) not in ((), (batch,)) or len(prior.event_shape) != 1:
        raise ValueError(
            f"A prior has batch shape () or ({batch or 'B'},) and event shape (D,), not "
            f"{tuple(prior.batch_shape)} and {tuple(prior.event_shape)}."
        )
    name = type(prior).__name__
    with seeded(0), torch.no_grad():
        z = prior.sample()
    (features,) = prior.event_shape
    place = (z.dtype, z.device, batch if prior.batch_shape else None)

    def normal_space(to_z: Map) -> LatentSpace:
        return LatentSpace(features, to_z, *place)

    own = _own_map(prior, z)
    if own is not None:
        u = torch.linspace(0.3, 1.0, features, dtype=z.dtype, device=z.device).expand_as(z)
        if torch.allclose(own(u), own(2 * u), rtol=1e-3):
            return Directions(features, own, *place)
        return normal_space(own)
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        normal = prior.base_dist
        if (normal.loc == 0).all() and (normal.scale == 1).all():
            return normal_space(lambda u: u)
        return normal_space(lambda u: normal.loc + normal.scale * u)
    if isinstance(prior, MultivariateNormal):
        return normal_space(lambda u: prior.loc + (prior.scale_tril @ u[..., None])[..., 0])
    if not z.is_floating_point() or getattr(prior.support, "is_discrete", False):
        raise ValueError(
            "The prior is discrete: annealing does not apply, importance weights do "
            "(importance_bound; the column iwae_K)."
        )
    if _on_real_vectors(prior):
        return OwnCoordinates(features, lambda u: u, *place, distribution=prior)
    to_z = _through_cdf(prior)
    try:
        to_z(torch.zeros_like(z))
    except NotImplementedError:
        raise ValueError(
            f"{name} names no map from a standard normal: give it a method from_normal(u)."
        ) from None
    return normal_space(to_z)
