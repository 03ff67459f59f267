"""Associative compression: each code is measured against that of a neighbour."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)
from torch.utils.checkpoint import checkpoint

from vaebench import (
    Gaussian,
    Measurement,
    Metric,
    Seen,
    Subject,
    Unavailable,
    Variant,
    hookimpl,
)

#: Pairs of a point and a component whose densities are computed together.
_PAIRS = 2**23


class Codes(MixtureSameFamily):
    """Σ_n N(loc_n, diag scale_n²) / N of many components, whose density needs little memory.

    Args:
        loc: Means (N, D).
        scale: Standard deviations (N, D).
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc, self.scale = loc, scale
        weights = Categorical(logits=loc.new_zeros(len(loc)), validate_args=False)
        each = Independent(Normal(loc, scale, validate_args=False), 1)
        super().__init__(weights, each, validate_args=False)

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


class Associative(Gaussian):
    r"""A Gaussian q(z|x), measured in training against p(z|c') of a near training code c'.

    A memory holds the mean c of q(z|x) of every training image, as it was when training saw the
    image last. c' is drawn from the K codes that lie nearest, the image's own left out. Evaluation
    has the mixture of p(z|c) over all codes of the memory, a model of independent images: its rate
    is at most that against any neighbour, plus log N. Until more than K images are known, the codes
    are draws from N(0, I).

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
        self.register_buffer("codes", torch.randn(items, features))
        self.register_buffer("known", torch.zeros(items, dtype=torch.bool))
        self.network = nn.Sequential(
            nn.Linear(features, width), nn.Tanh(), nn.Linear(width, 2 * features)
        )

    def near(self, codes: Tensor) -> Distribution:
        """p(z|c) of codes c (..., D): N(c + μ(c), diag σ(c)²), batch shape (...,)."""
        shift, raw = self.network(codes).chunk(2, -1)
        scale = nn.functional.softplus(raw + 0.5413248546) + 1e-4
        return Independent(Normal(codes + shift, scale, validate_args=False), 1)

    @property
    def usable(self) -> Tensor:
        """Which codes (N,) may be neighbours: the known ones, or all before there are enough."""
        return self.known | (self.known.sum() <= self.neighbours)

    def nearest(self, codes: Tensor, index: Tensor) -> Tensor:
        """The places (B, K) of the nearest codes of others to codes (B, D).

        Args:
            codes: Means of q(z|x).
            index: Places of the images in the training split (B,), -1 of other images.
        """
        distance = torch.cdist(codes, self.codes).masked_fill(~self.usable, math.inf)
        own = index >= 0
        distance[own, index[own]] = math.inf
        return distance.topk(self.neighbours, largest=False).indices

    def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
        """q(z|x) and p(z|c') of a neighbour's code c'."""
        q, index = self(h), seen.index
        if index is None:
            return q, self.prior()
        mean = q.mean.detach()
        near = self.nearest(mean, index)
        pick = torch.randint(self.neighbours, (len(h), 1), device=h.device)
        p = self.near(self.codes[near.gather(1, pick)[:, 0]])
        if self.training:
            own = index >= 0
            self.codes[index[own]] = mean[own].to(self.codes)
            self.known[index[own]] = True
        return q, p

    def prior(self) -> Distribution:
        """The mixture of p(z|c) over the codes of the memory."""
        each: Any = self.near(self.codes[self.usable])
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


def tour(codes: Tensor) -> Tensor:
    """An order (N,) of codes (N, D) in which each is the nearest of those that are left."""
    left = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
    found = [0]
    for _ in range(len(codes) - 1):
        left[found[-1]] = False
        distance = (codes - codes[found[-1]]).square().sum(-1).masked_fill(~left, math.inf)
        found.append(int(distance.argmin()))
    return torch.tensor(found, device=codes.device)


def description_length(subject: Subject) -> Measurement:
    """Nats an image of the test set, sent in a tour of neighbours: -E log p(x|z) + KL(q || p(z|c)).

    c is the code of the image sent before, which the receiver finds by encoding it; the first image
    is sent with the mixture. The order is the sender's choice, which saves up to log N nats an
    image against the rate of independent images: it describes a set, and is no likelihood.

    Raises:
        Unavailable: The variant has no prior of neighbours.
    """
    posterior = subject.model.posterior
    if not isinstance(posterior, Associative):
        raise Unavailable("the prior does not depend on other images' codes")
    q, rate = subject.q, torch.empty(len(subject.x), device=subject.device)
    with torch.no_grad():
        order = tour(q.mean)
        every: Any = posterior.near(q.mean[order[:-1]])
        mean, scale = q.mean[order[1:]], q.stddev[order[1:]]
        here = Independent(Normal(mean, scale, validate_args=False), 1)
        rate[order[1:]] = kl_divergence(here, every)
        rate[order[0]] = subject.terms.kl[order[0]]
    detail = {
        "rate": rate.mean().item(),
        "rate_of_independent_images": subject.terms.kl.mean().item(),
    }
    return Measurement.mean(rate - subject.terms.log_px, detail=detail, **subject.depends())


@hookimpl
def vaebench_metrics() -> list[Metric]:
    """The ordered description length, for ``--metrics default,description_length``."""
    return [
        Metric(
            name="description_length",
            group="description_length",
            title="Description length, ordered",
            unit="nats/image",
            better="lower",
            description=(
                "The test set sent in a tour of nearest neighbours, each measured against the code "
                "before it; it describes a set and is no likelihood."
            ),
            needs=frozenset({"density", "likelihood"}),
            compute=description_length,
        )
    ]
