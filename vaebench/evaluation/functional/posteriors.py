"""What a posterior does with its latent dimensions; everything in nats.

The functions take the posterior q of all N test images at once: batch shape (N,), event shape
(D,). What a distribution does not offer (a mean, a closed-form KL, a density) is estimated from
draws where that is sound, and None where it is not.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.models.distributions import closed_kl, univariate

#: Draws taken together from a posterior that does not tell its moments.
_ROWS = 2**14


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q(z_d|x) || p(z_d)) (N, D), where both are products of univariate distributions.

    Returns:
        None where one of them is no such product, or no closed form is registered.
    """
    try:
        return closed_kl(univariate(q), univariate(p))
    except NotImplementedError:
        return None


def posterior_means(q: Distribution, samples: int = 256) -> tuple[Tensor, Tensor]:
    """Means of z under q (N, D), and their squared standard errors (N, D).

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        samples: Draws (at least 2) for a distribution without a `mean`.

    Returns:
        The means with errors of zero, or averages of draws with errors above it.
    """
    try:
        return q.mean, torch.zeros_like(q.mean)
    except NotImplementedError:
        mean, variance = _drawn(q, samples)
        return mean, variance / samples


def posterior_variances(q: Distribution, samples: int = 256) -> Tensor:
    """Variances of z under q (N, D), from draws where q does not tell them."""
    try:
        return q.variance
    except NotImplementedError:
        return _drawn(q, samples)[1]


def _drawn(q: Distribution, samples: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (N, D) of draws from q, taken a few at a time: flows are wide."""
    most = max(1, _ROWS // q.batch_shape.numel())
    parts = [min(most, samples - begin) for begin in range(0, samples, most)]
    sums, squares = [], []
    with torch.no_grad():
        for part in parts:
            z = q.sample(torch.Size((part,)))
            sums.append(z.double().sum(0))
            squares.append(z.double().square().sum(0))
    mean = torch.stack(sums).sum(0) / samples
    square = torch.stack(squares).sum(0) / samples
    variance = (square - mean.square()).clamp_min(0) * samples / (samples - 1)
    return mean.to(z.dtype), variance.to(z.dtype)


def active_units(
    means: Tensor, errors: Tensor | float = 0.0, *, threshold: float = 0.01
) -> tuple[int, Tensor]:
    r"""Number of dimensions whose posterior mean moves with the image.

    A dimension is active if :math:`\mathrm{Var}_x(E_q[z_d|x])` exceeds the threshold. Averages of
    draws vary even where the means do not; their squared standard errors are subtracted.

    Args:
        means: Posterior means (N, D).
        errors: Their squared standard errors (N, D).
        threshold: The least variance of an active unit.

    Returns:
        The number, and the variances (D,) that it was counted from.

    References:
        Burda et al. 2016, Importance Weighted Autoencoders, arXiv 1509.00519, sec. 5.2.
    """
    noise = torch.as_tensor(errors, dtype=means.dtype, device=means.device).expand_as(means)
    variances = means.var(0) - noise.mean(0)
    return int((variances > threshold).sum()), variances


def collapsed(kl: Tensor, epsilon: float = 0.01, delta: float = 0.01) -> float:
    """Fraction of the dimensions that are (ε, δ)-collapsed.

    Dimension d is if its KL is below ε for at least a share 1 - δ of the images.

    Args:
        kl: KL(q(z_d|x) || p(z_d)) (N, D).
        epsilon: ε in nats.
        delta: δ, the share of exceptions allowed.

    References:
        Lucas et al. 2019, Don't Blame the ELBO!, arXiv 1911.02469.
    """
    return ((kl < epsilon).double().mean(0) >= 1 - delta).double().mean().item()
