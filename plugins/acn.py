"""Associative compression: each code is measured against that of a neighbour."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.utils.checkpoint import checkpoint

from vaebench import Gaussian, Seen, Variant, hookimpl

#: Pairs of a point and a component whose densities are computed together.
_PAIRS = 2**23


class Codes(Distribution):
    """Σ_n N(loc_n, diag scale_n²) / N of many components, whose density needs little memory.

    Args:
        loc: Means (N, D).
        scale: Standard deviations (N, D).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(torch.Size(), loc.shape[-1:], validate_args=False)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D)."""
        with torch.no_grad():
            n = torch.randint(len(self.loc), tuple(sample_shape), device=self.loc.device)
            return torch.normal(self.loc[n], self.scale[n])

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) (...) in nats for value (..., D)."""
        rows = value.reshape(-1, value.shape[-1])
        parts = rows.split(max(1, _PAIRS // len(self.loc)))
        if torch.is_grad_enabled():
            found = [checkpoint(self._log_prob, part, use_reentrant=False) for part in parts]
        else:
            found = [self._log_prob(part) for part in parts]
        return torch.cat(found).reshape(value.shape[:-1]).to(value.dtype)

    def _log_prob(self, rows: Tensor) -> Tensor:
        # Products of matrices in place of differences; in float64, since they nearly cancel.
        z, loc, scale = rows.double(), self.loc.double(), self.scale.double()
        precision = scale.pow(-2)
        constant = (loc.square() * precision / 2 + scale.log()).sum(-1)
        constant = constant + loc.shape[-1] * math.log(2 * math.pi) / 2 + math.log(len(loc))
        log_n = z @ (loc * precision).T - z.square() @ precision.T / 2 - constant
        return log_n.logsumexp(-1)

    @property
    def mean(self) -> Tensor:
        """The mixture's mean (D,)."""
        return self.loc.mean(0)

    @property
    def variance(self) -> Tensor:
        """The mixture's variance in each dimension (D,)."""
        return self.scale.square().mean(0) + self.loc.var(0, correction=0)


class Associative(Gaussian):
    r"""A Gaussian q(z|x), measured in training against p(z|c') of a near training code c'.

    A memory holds the mean c of q(z|x) of every training image, as it was when training saw the
    image last. c' is drawn from the K codes that lie nearest, the image's own left out. Evaluation
    has the mixture of p(z|c) over all codes of the memory, a model of independent images: its rate
    is at most that against any neighbour, plus log N.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        neighbours: K.
        width: Hidden units of the network of p(z|c).
        items: N, the number of training images.

    Raises:
        ValueError: There are no neighbours, or no more images than these, or no hidden unit.
    """

    codes: Tensor
    known: Tensor

    def __init__(
        self, features: int, context: int, neighbours: int = 5, width: int = 256, *, items: int
    ) -> None:
        super().__init__(features, context)
        if not 1 <= neighbours < items or width < 1:
            raise ValueError(
                f"Of {items} training images from 1 to {items - 1} can be neighbours, and the "
                f"network has a width of 1 or more; not {neighbours} and {width}."
            )
        self.neighbours = neighbours
        self.register_buffer("codes", torch.zeros(items, features))
        self.register_buffer("known", torch.zeros(items, dtype=torch.bool))
        self.network = nn.Sequential(
            nn.Linear(features, width), nn.Tanh(), nn.Linear(width, 2 * features)
        )

    def near(self, codes: Tensor) -> Distribution:
        """p(z|c) of codes c (..., D): N(c + μ(c), diag σ(c)²), batch shape (...,)."""
        shift, raw = self.network(codes).chunk(2, -1)
        scale = nn.functional.softplus(raw + 0.5413248546) + 1e-4
        return Independent(Normal(codes + shift, scale, validate_args=False), 1)

    def nearest(self, codes: Tensor, index: Tensor) -> Tensor:
        """The places (B, K) of the nearest known codes of others to codes (B, D).

        Args:
            codes: Means of q(z|x).
            index: Places of the images in the training split (B,), -1 of other images.
        """
        distance = torch.cdist(codes, self.codes).masked_fill(~self.known, math.inf)
        own = index >= 0
        distance[own, index[own]] = math.inf
        return distance.topk(self.neighbours, largest=False).indices

    def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
        """q(z|x) and p(z|c'); p(z) = N(0, I) for the first images, which have no neighbours."""
        q, index = self(h), seen.index
        if index is None:
            return q, self.prior()
        mean, p = q.mean.detach(), super().prior()
        if int(self.known.sum()) > self.neighbours:
            near = self.nearest(mean, index)
            pick = torch.randint(self.neighbours, (len(h), 1), device=h.device)
            p = self.near(self.codes[near.gather(1, pick)[:, 0]])
        if self.training:
            own = index >= 0
            self.codes[index[own]] = mean[own].to(self.codes)
            self.known[index[own]] = True
        return q, p

    def prior(self) -> Distribution:
        """The mixture of p(z|c) over the known codes; N(0, I) while none is known."""
        if not bool(self.known.any()):
            return super().prior()
        each: Any = self.near(self.codes[self.known])
        return Codes(each.mean, each.stddev)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """Neighbours in training, the mixture over all codes in evaluation."""
    return [
        Variant(
            "acn",
            Associative,
            reference="Graves et al. 2018, arXiv 1804.02476",
            family="priors",
            description="Each code is measured against p(z|c') of a near training image's code; "
            "evaluated with the mixture Σ p(z|c_n) / N over these codes.",
        )
    ]
