"""What a plugin brings: a posterior with its prior, and the variant that trains it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from vaebench.models.items import Seen


class Posterior(nn.Module):
    """Maps encoder features to q(z|x), and owns the prior that q is measured against.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.

    Example:
        >>> class Wide(Posterior):
        ...     def __init__(self, features, context, scale: float = 2.0):
        ...         super().__init__(features, context)
        ...         self.loc, self.scale = nn.Linear(context, features), scale
        ...
        ...     def forward(self, h):
        ...         return Independent(Normal(self.loc(h), self.scale), 1)
        >>> q = Wide(features=2, context=5)(torch.zeros(3, 5))
        >>> q.batch_shape, q.event_shape
        (torch.Size([3]), torch.Size([2]))
    """

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.features = features
        self.context = context
        self.register_buffer("_zeros", torch.zeros(features), persistent=False)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to a distribution with batch shape (B,), event shape (D,), rsample."""
        raise NotImplementedError(f"{type(self).__name__} does not say what q(z|h) is.")

    def prior(self) -> Distribution:
        """p(z), batch shape (), event shape (D,): N(0, I) unless overridden.

        One that is overridden as ``prior(self, given=None)`` is told the condition (B, G) of B
        items where their data set has one, and returns p(z|y) of batch shape (B,) or ().
        """
        zeros: Any = self._zeros
        return Independent(Normal(zeros, torch.ones_like(zeros), validate_args=False), 1)

    def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
        """What training draws from and measures against: q(z|x) and p(z) unless overridden.

        Evaluation always uses `forward` and `prior`: what this says of a batch, with labels that
        training may see or with other items' codes, is the variant's own affair.

        Args:
            h: Encoder features (B, F), of the whole batch where several ranks share it.
            seen: What is known of the items.
        """
        return self(h), prior_of(self, seen.given)

    def of_parts(self, h: Tensor, parts: Sequence[int]) -> Distribution:
        """q(z|x_S), batch shape (B,), of items of which only some parts are known.

        Args:
            h: Features (B, F) of all parts side by side, of which those of others are not used.
            parts: S, the numbers of one part or more, from 0 on.

        Raises:
            NotImplementedError: The posterior knows whole items alone.
        """
        raise NotImplementedError("the posterior knows whole items alone")

    @property
    def reads(self) -> Sequence[Sequence[int]] | None:
        """The dimensions of z that the decoder of each part is told, None where all are told all.

        They are as many for each part as the factory was given as D.
        """
        return None

    def classify(self, h: Tensor) -> Tensor:
        """log q(y|x) (B, C) of features h (B, F), of posteriors that infer one of C classes.

        Raises:
            NotImplementedError: This one infers none.
        """
        raise NotImplementedError("the posterior infers no class")


class OfParts(Posterior):
    """q(z|x_S) of a posterior that infers z from some parts of items, with its prior.

    Args:
        whole: The posterior.
        parts: S, the numbers of the parts from 0 on.
    """

    def __init__(self, whole: Posterior, parts: Sequence[int]) -> None:
        super().__init__(whole.features, whole.context)
        self.whole, self.parts = whole, tuple(parts)

    def forward(self, h: Tensor) -> Distribution:
        """Features (B, F) of whole items to q(z|x_S)."""
        return self.whole.of_parts(h, self.parts)

    def prior(self, given: Tensor | None = None) -> Distribution:
        """The posterior's own prior."""
        return prior_of(self.whole, given)


def prior_of(posterior: Posterior, given: Tensor | None = None) -> Distribution:
    """p(z), or p(z|y) for conditions y (B, G) where the posterior's prior is told them."""
    told: Callable[..., Distribution] = posterior.prior
    if given is None or "given" not in inspect.signature(told).parameters:
        return told()
    return told(given)


def pairs(posterior: nn.Module) -> bool:
    """Whether training draws from something else than evaluation does."""
    return _has_own(posterior, "pair")


def knows_parts(posterior: nn.Module) -> bool:
    """Whether a posterior infers z from some of the parts of an item."""
    return _has_own(posterior, "of_parts")


def classifies(posterior: nn.Module) -> bool:
    """Whether a posterior infers a class."""
    return _has_own(posterior, "classify")


def _has_own(posterior: nn.Module, method: str) -> bool:
    """Whether a module, which need not be a `Posterior`, has a method that is not its default."""
    mine = getattr(type(posterior), method, None)
    return mine is not None and mine is not getattr(Posterior, method)


def positive(raw: Tensor, least: float = 1e-4) -> Tensor:
    """A scale from an unbounded network output: 1 at 0, never below `least`, never infinite."""
    return softplus(raw + 0.5413248546) + least


class Gaussian(Posterior):
    """Diagonal Gaussian q(z|x) = N(loc(h), diag scale(h)²), against N(0, I).

    References:
        Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv 1312.6114, app. C.2.

    Example:
        >>> Gaussian(features=2, context=5)(torch.zeros(3, 5)).mean.shape
        torch.Size([3, 2])
    """

    def __init__(self, features: int, context: int) -> None:
        super().__init__(features, context)
        self.head = nn.Linear(context, 2 * features)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to N(loc, diag scale²)."""
        loc, raw = self.head(h).chunk(2, -1)
        return Independent(Normal(loc, positive(raw), validate_args=False), 1)
