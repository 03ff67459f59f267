"""Questions to torch distributions: factors, support, KL where a closed form is registered."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence


def univariate(distribution: Distribution) -> Distribution:
    """The factors, batch shape (..., D) and event shape (), of a product distribution.

    Raises:
        NotImplementedError: It is not known to be a product of univariate distributions.
    """
    if isinstance(distribution, Independent) and len(distribution.event_shape) == 1:
        factors = distribution.base_dist
        if not factors.event_shape:
            return factors
    raise NotImplementedError(f"{type(distribution).__name__} is not known to factorise.")


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats, of q's batch shape; None where no closed form is registered."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def inside(q: Distribution, z: Tensor) -> Tensor:
    """Which z (N, B, D) lie in the support that q states (N, B)."""
    try:
        return q.support.check(z).expand(z.shape[:-1])  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return torch.ones(z.shape[:-1], dtype=torch.bool)
