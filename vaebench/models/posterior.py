"""What a plugin brings: a posterior with its prior, and the variant that trains it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus


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
        """p(z), batch shape (), event shape (D,): N(0, I) unless overridden."""
        zeros: Any = self._zeros
        return Independent(Normal(zeros, torch.ones_like(zeros), validate_args=False), 1)


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
