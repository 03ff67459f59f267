"""Where chains begin: densities that can be drawn from, in whitened coordinates v."""

import math
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.evaluation.joint import standard_normal
from vaebench.evaluation.streams import Streams


@dataclass(frozen=True)
class Whitening:
    """u = center + scale @ v for each image; center (B, D), scale (B, D, D)."""

    center: Tensor
    scale: Tensor

    @property
    def log_volume(self) -> Tensor:
        """log |det scale| (B,), float64."""
        return torch.linalg.slogdet(self.scale.double()).logabsdet

    def take(self, images: Tensor) -> "Whitening":
        """The coordinates of some of the images."""
        return Whitening(self.center[images], self.scale[images])

    def __call__(self, v: Tensor) -> Tensor:
        """Coordinates v (K, B, D) to u (K, B, D)."""
        return self.center + times(self.scale, v)

    def pull(self, gradient: Tensor) -> Tensor:
        """A gradient in u to the one in v, both (K, B, D)."""
        return times(self.scale.mT, gradient)


def times(matrix: Tensor, v: Tensor) -> Tensor:
    """Matrices (B, D, D) times vectors (K, B, D)."""
    return (v.movedim(0, 1) @ matrix.mT).movedim(0, 1)


class GaussianMixture:
    """A mixture of M Gaussians in u for each image, evaluated in the coordinates of its first one.

    Args:
        loc: Means (M, B, D).
        scale: Square roots of the covariances (M, B, D, D).
        log_weights: (M, B), summing to one over M; an absent component has -inf.
    """

    def __init__(self, loc: Tensor, scale: Tensor, log_weights: Tensor) -> None:
        self.whitening = Whitening(loc[0], scale[0])
        dtype, (first, *_), wide = loc.dtype, scale.double(), scale.double()
        self._loc = torch.linalg.solve(first, (loc.double() - loc[0])[..., None])[..., 0].to(dtype)
        self._scale = torch.linalg.solve(first, wide).to(dtype)
        self._inverse = torch.linalg.solve(wide, first.expand_as(wide)).to(dtype)
        self._log_weights = log_weights.double()
        self._log_peak = self._log_weights - torch.linalg.slogdet(self._scale.double()).logabsdet

    def take(self, images: Tensor) -> "GaussianMixture":
        """The start of some of the images."""
        part = copy(self)
        part.whitening = self.whitening.take(images)
        for name in ("_loc", "_scale", "_inverse", "_log_weights", "_log_peak"):
            setattr(part, name, getattr(self, name)[:, images])
        return part

    @property
    def single(self) -> bool:
        """There is one Gaussian, and v is standard normal."""
        return len(self._loc) == 1

    def sample(self, streams: Streams, chains: int) -> Tensor:
        """Draws v (chains, B, D), with each component as often as its weight says."""
        features = self._loc.shape[-1]
        noise = streams.normal(chains, features, dtype=self._loc.dtype)
        position = torch.arange(chains, device=noise.device)[:, None] + streams.uniform()
        if self.single:
            return noise
        edges = self._log_weights.exp().cumsum(0)
        which = (position[:, None] / chains >= edges[:-1]).sum(1)
        each = torch.stack(
            [times(s, noise) + m for m, s in zip(self._loc, self._scale, strict=True)]
        )
        return each.gather(0, which[None, ..., None].expand(1, *noise.shape))[0]

    def __call__(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log-density (K, B) in float64 and its gradient (K, B, D) at v (K, B, D)."""
        if self.single:
            return standard_normal(v), -v
        white = torch.stack(
            [times(i, v - m) for m, i in zip(self._loc, self._inverse, strict=True)]
        )
        each = standard_normal(white) + self._log_peak[:, None]
        share = each.softmax(0).to(v.dtype)[..., None]
        pulled = [times(i.mT, s * w) for i, s, w in zip(self._inverse, share, white, strict=True)]
        return each.logsumexp(0), -sum(pulled, torch.zeros_like(v))


class FromPrior:
    """A prior on R^D that is not normal, as a start in z itself.

    Args:
        prior: Batch shape (), event shape (D,), with a differentiable log_prob.
        draws: (K, D) draws, from which the scale of each coordinate is taken.
    """

    def __init__(self, prior: Distribution, draws: Tensor, batch: int) -> None:
        self._prior = prior
        scale = torch.diag_embed(draws.std(0).clamp_min(1e-6))
        self.whitening = Whitening(draws.mean(0).expand(batch, -1), scale.expand(batch, -1, -1))

    def take(self, images: Tensor) -> "FromPrior":
        """The start of some of the images."""
        part = copy(self)
        part.whitening = self.whitening.take(images)
        return part

    def sample(self, streams: Streams, chains: int) -> Tensor:
        """Draws v (chains, B, D)."""
        z = streams.draw(self._prior, chains)
        white = self.whitening
        return times(torch.linalg.inv(white.scale), z - white.center)

    def __call__(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log-density (K, B) in float64 and its gradient (K, B, D) at v (K, B, D)."""
        with torch.inference_mode(False), torch.enable_grad():
            v = v.detach().requires_grad_()
            value = self._prior.log_prob(self.whitening(v))
            (gradient,) = torch.autograd.grad(value.sum(), v)
        return value.detach().double() + self.whitening.log_volume, gradient


Start = GaussianMixture | FromPrior


def gaussian(loc: Tensor, scale: Tensor) -> GaussianMixture:
    """One Gaussian for each image, loc (B, D) and scale (B, D, D)."""
    return GaussianMixture(loc[None], scale[None], loc.new_zeros(1, len(loc)))


def log_mean_exp(values: Tensor) -> Tensor:
    """log of the mean of exp(values) over the first axis."""
    return values.logsumexp(0) - math.log(len(values))
