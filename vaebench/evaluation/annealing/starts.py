"""Where chains begin: Gaussians and the prior, mixed, in whitened coordinates v."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaebench.evaluation.annealing.latent_space import LatentSpace, standard_normal
from vaebench.evaluation.annealing.streams import Streams


@dataclass(frozen=True)
class Whitening:
    """u = center + scale @ v for each image; center (B, D), scale (B, D, D)."""

    center: Tensor
    scale: Tensor

    @property
    def log_volume(self) -> Tensor:
        """log |det scale| (B,), float64."""
        return torch.linalg.slogdet(self.scale).logabsdet

    def take(self, images: Tensor) -> "Whitening":
        """The coordinates of some of the images."""
        return Whitening(self.center[images], self.scale[images])

    def __call__(self, v: Tensor) -> Tensor:
        """Coordinates v (K, B, D) to u (K, B, D)."""
        return self.center + times(self.scale, v)

    def back(self, u: Tensor) -> Tensor:
        """Coordinates u (K, B, D) to v (K, B, D)."""
        centered = (u - self.center).movedim(0, -1)
        return torch.linalg.solve(self.scale, centered).movedim(-1, 0)

    def pull(self, gradient: Tensor) -> Tensor:
        """A gradient in u to the one in v, both (K, B, D)."""
        return times(self.scale.mT, gradient)


def times(matrix: Tensor, v: Tensor) -> Tensor:
    """Matrices (B, D, D) times vectors (K, B, D)."""
    return (v.movedim(0, 1) @ matrix.mT).movedim(0, 1)


class Start:
    """A mixture of the prior and M Gaussians for each image, in coordinates v of the first one.

    Args:
        space: Knows the prior.
        gaussians: Whitenings, float64, of which each makes a Gaussian of N(0, I). The first is that
            of v: the one with the largest share, for v to be of order 1 where chains are.
        share: (M + 1, B), summing to one over the first axis: those of the Gaussians, and of the
            prior at the end.
        whitening: Other coordinates v than those of the first Gaussian.

    Attributes:
        single: There is one Gaussian and nothing else: v is standard normal.
    """

    def __init__(
        self,
        space: LatentSpace,
        gaussians: Sequence[Whitening],
        share: Tensor,
        whitening: Whitening | None = None,
    ) -> None:
        self.space = space
        self.gaussians = gaussians
        self.share = share
        self.whitening = gaussians[0] if whitening is None else whitening
        self.log_volume = self.whitening.log_volume
        self._relative = [self._of_first(gaussian) for gaussian in gaussians]
        self._log_share = share.log()
        self._has_prior = bool(share[-1].any())
        self.single = len(gaussians) == 1 and not self._has_prior and whitening is None

    def _of_first(self, gaussian: Whitening) -> tuple[Tensor, Tensor, Tensor]:
        """Center and inverse scale of a Gaussian in v, and log |det| of the latter."""
        if gaussian is self.whitening:
            eye = torch.eye(gaussian.scale.shape[-1]).to(gaussian.scale).expand_as(gaussian.scale)
            return torch.zeros_like(gaussian.center), eye, self.log_volume.new_zeros(())
        inverse = torch.linalg.solve(gaussian.scale, self.whitening.scale)
        volume = self.log_volume - gaussian.log_volume
        return self.whitening.back(gaussian.center[None])[0], inverse, volume

    def take(self, images: Tensor) -> "Start":
        """The start of some of the images."""
        gaussians = [gaussian.take(images) for gaussian in self.gaussians]
        whitening = None if self._of_first_gaussian else self.whitening.take(images)
        return Start(self.space.take(images), gaussians, self.share[:, images], whitening)

    def with_shares(self, share: Tensor) -> "Start":
        """This start with other shares (M + 1, B)."""
        whitening = None if self._of_first_gaussian else self.whitening
        return Start(self.space, self.gaussians, share, whitening)

    def within(self, images: Tensor, whitening: Whitening) -> "Start":
        """This start in other coordinates v (of some images)."""
        center, scale = self.whitening.center.clone(), self.whitening.scale.clone()
        center[images], scale[images] = whitening.center, whitening.scale
        return Start(self.space, self.gaussians, self.share, Whitening(center, scale))

    def log_density(self, u: Tensor) -> Tensor:
        """log-density (K, B) at u (K, B, D)."""
        return self(self.whitening.back(u))[0] - self.log_volume

    def wider(self, factor: float) -> "Start":
        """This start with Gaussians of as many times the width, in coordinates of the first one."""
        gaussians = [Whitening(g.center, factor * g.scale) for g in self.gaussians]
        return Start(self.space, gaussians, self.share)

    @property
    def _of_first_gaussian(self) -> bool:
        return self.whitening is self.gaussians[0]

    def with_prior(self, share: Tensor) -> "Start":
        """This start with the share (B,) of the prior, the Gaussians in proportion as before."""
        others = self.share[:-1] / self.share[:-1].sum(0)
        return self.with_shares(torch.cat([others * (1 - share), share[None]]))

    def sample(self, streams: Streams, chains: int) -> Tensor:
        """Draws v (chains, B, D), from each component as often as its share says."""
        noise = streams.normal(chains, self.space.features, dtype=torch.float64)
        prior = self.space.draw(streams, chains)
        position = torch.arange(chains, device=noise.device)[:, None] + streams.uniform()
        if self.single:
            return noise
        each = [self.whitening.back(gaussian(noise)) for gaussian in self.gaussians]
        each.append(self.whitening.back(prior))
        edges = self.share.cumsum(0)[:-1]
        which = (position[:, None] / chains >= edges).sum(1)
        return torch.stack(each).gather(0, which[None, ..., None].expand(1, *noise.shape))[0]

    def __call__(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log-density (K, B) in float64 and its gradient (K, B, D) at v (K, B, D)."""
        if self.single:
            return standard_normal(v), -v
        values, gradients = [], []
        for center, inverse, volume in self._relative:
            white = times(inverse, v - center)
            values.append(standard_normal(white) + volume)
            gradients.append(-times(inverse.mT, white))
        if self._has_prior:
            value, gradient = self.space.prior(self.whitening(v))
            values.append(value + self.log_volume)
            gradients.append(self.whitening.pull(gradient))
        each = torch.stack(values) + self._log_share[: len(values), None]
        part = each.softmax(0)[..., None]
        return each.logsumexp(0), (part * torch.stack(gradients)).sum(0)


def gaussian_start(space: LatentSpace, loc: Tensor, scale: Tensor) -> Start:
    """One Gaussian for each image, loc (B, D) and scale (B, D, D)."""
    share = loc.new_ones(2, len(loc))
    share[1] = 0
    return Start(space, [Whitening(loc, scale)], share)


def prior_start(space: LatentSpace, draws: Tensor) -> Start:
    """The prior, in coordinates scaled by its draws (K, B, D)."""
    if type(space) is LatentSpace:
        eye = torch.eye(space.features).to(draws).expand(draws.shape[1], -1, -1)
        return gaussian_start(space, torch.zeros_like(draws[0]), eye)
    spread = draws.std(0).clamp_min(1e-6)
    share = draws.new_zeros(2, draws.shape[1])
    share[1] = 1
    return Start(space, [Whitening(draws.mean(0), torch.diag_embed(spread))], share)


def whole_chains(share: Tensor, chains: int) -> Tensor:
    """Shares (M, B) rounded so that each makes a whole number of chains, at least one.

    What is left of chance in their numbers would be left in the estimate. Images with too few
    chains for that keep their shares.
    """
    count = torch.round(share * chains).clamp_min(1) * (share > 0)
    largest = count.argmax(0, keepdim=True)
    count = count.scatter_add(0, largest, chains - count.sum(0, keepdim=True))
    return torch.where(4 * (share > 0).sum(0) <= chains, count / chains, share)
