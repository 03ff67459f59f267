"""Questions to torch distributions: factors, support, KL where a closed form is registered."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    constraints,
    kl_divergence,
)

#: Beyond this many standard deviations Φ(u) is 0 or 1 in float32.
NORMAL_EDGE = 5.0


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


def sampled(p: Distribution, count: int) -> Tensor:
    """Draws (count, D) from a distribution of batch shape (), or one from each of (count,)."""
    return p.sample(torch.Size(() if p.batch_shape else (count,)))


def closed_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats, of q's batch shape; None where no closed form is registered."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def factor_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q_d || p_d) (B, D) in nats of each dimension; None where it is not known."""
    try:
        return kl_divergence(univariate(q), univariate(p))
    except NotImplementedError:
        return None


def inside(q: Distribution, z: Tensor) -> Tensor:
    """Which z (N, B, D) lie in the support that q states (N, B)."""
    try:
        return q.support.check(z).expand(z.shape[:-1])  # type: ignore[union-attr]
    except (NotImplementedError, AttributeError):
        return torch.ones(z.shape[:-1], dtype=torch.bool)


def on_real_vectors(distribution: Distribution) -> bool:
    """Whether the support that it states is all of R^D."""
    try:
        support: Any = distribution.support
    except NotImplementedError:
        return False
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support is constraints.real or support is constraints.real_vector


def from_normal(distribution: Distribution, u: Tensor) -> Tensor:
    """Map u ~ N(0, I) (..., D) to draws (..., D) of a distribution of event shape (D,).

    Its own `from_normal` does, that of Gaussians is affine, and factorised continuous distributions
    go through their inverse distribution function.

    Raises:
        NotImplementedError: It offers none of these ways.
    """
    if hasattr(distribution, "from_normal"):
        return distribution.from_normal(u)
    if isinstance(distribution, MultivariateNormal):
        return distribution.loc + (distribution.scale_tril @ u[..., None])[..., 0]
    factors = univariate(distribution)
    if isinstance(factors, Normal):
        return factors.loc + factors.scale * u
    return factors.icdf(torch.special.ndtr(u.clamp(-NORMAL_EDGE, NORMAL_EDGE)))


def alike(p: Distribution, q: Distribution, count: int = 256, close: float = 1e-4) -> bool:
    """Whether two distributions agree in shapes and in the densities of draws of both.

    Args:
        p: The one; batch shape (), event shape (D,).
        q: The other.
        count: Draws from each.
        close: Nats that the log-densities may differ by, and in parts of themselves.

    Raises:
        ValueError: One checks its arguments, and does not have draws of the other in its support.
        NotImplementedError: One has no draws or no density.
    """
    if (p.batch_shape, p.event_shape) != (q.batch_shape, q.event_shape):
        return False
    z = torch.cat([each.sample(torch.Size((count,))) for each in (p, q)])
    return torch.allclose(p.log_prob(z), q.log_prob(z), rtol=close, atol=close)
