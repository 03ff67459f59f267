"""The aggregate posterior, the mean of q(z|x) over the images, against the prior; in nats."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaebench.models.distributions import univariate

#: Numbers in the largest intermediate table.
ROOM = 1 << 22


class Information(NamedTuple):
    """The mean KL of a posterior, split in two.

    Attributes:
        mutual_information: I_q(x; z), nats.
        mutual_information_se: Its standard error over draws of z.
        marginal_kl: KL(q(z) || p(z)), nats.
        marginal_kl_se: Its standard error over draws of z.
        saturated: I_q has come within half a nat of log N, which the estimate cannot exceed: it
            is then too small by an unknown amount, and the marginal KL too large by the same.
    """

    mutual_information: float
    mutual_information_se: float
    marginal_kl: float
    marginal_kl_se: float
    saturated: bool


def information(q: Distribution, p: Distribution, draws: int = 1000) -> Information | None:
    r"""Split :math:`E_x KL(q(z|x) \| p(z))` into :math:`I_q(x; z) + KL(q(z) \| p(z))`.

    q(z) is the mixture of all N posteriors, the expectation one over a draw for each of evenly
    spaced images.

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        draws: The largest number of z.

    Returns:
        The two terms; None where q has no density at a given z.

    References:
        Hoffman & Johnson 2016, ELBO surgery, NIPS workshop on advances in approximate Bayesian
        inference.
    """
    z, rows = _draws(q, draws)
    try:
        own, mixture = _log_mixture(q.log_prob, z, rows, q.batch_shape[0])
    except NotImplementedError:
        return None
    mutual = own - mixture
    marginal = mixture - p.log_prob(z).cpu().double()
    return Information(
        mutual.mean().item(),
        _error(mutual),
        marginal.mean().item(),
        _error(marginal),
        mutual.mean().item() > math.log(q.batch_shape[0]) - 0.5,
    )


def marginal_kl_per_dimension(
    q: Distribution, p: Distribution, draws: int = 1000
) -> tuple[Tensor, Tensor, float] | None:
    """KL(q(z_d) || p(z_d)) (D,), standard errors (D,), and that of the sum; none saturates.

    The sum is the marginal KL less the total correlation of q(z).

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        draws: The largest number of z.

    Returns:
        None where q or p is not a product of univariate distributions.

    References:
        Chen et al. 2018, Isolating Sources of Disentanglement, arXiv 1802.04942, eq. 2.
    """
    try:
        factors, prior = univariate(q), univariate(p)
        z, rows = _draws(q, draws)
        _, mixture = _log_mixture(factors.log_prob, z, rows, q.batch_shape[0])
    except NotImplementedError:
        return None
    ratio = mixture - prior.log_prob(z).cpu().double()
    return ratio.mean(0), ratio.std(0) / math.sqrt(len(ratio)), _error(ratio.sum(1))


def moment_kl(q: Distribution, p: Distribution, samples: int = 16) -> float | None:
    """KL of the Gaussian with mean and covariance of q(z) to p(z), which does not saturate.

    Moments are exact for factorised posteriors, and from draws for others.

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        samples: Draws for each image where the moments are not known.

    Returns:
        None where the prior is not a diagonal Gaussian.
    """
    if not (isinstance(p, Independent) and isinstance(p.base_dist, Normal)):
        return None
    try:
        univariate(q)
        points, noise = q.mean, q.variance.mean(0).diag()
    except NotImplementedError:
        with torch.no_grad():
            points = q.sample(torch.Size((samples,))).flatten(0, 1)
        noise = points.new_zeros(points.shape[1], points.shape[1])
    points, noise = points.detach().cpu().double(), noise.detach().cpu().double()
    shift = points.mean(0) - p.mean.cpu()
    variance = p.variance.cpu().double()
    cov = torch.atleast_2d(points.T.cov(correction=0)) + noise
    spread = (cov.diagonal() + shift.square()) / variance - 1 + variance.log()
    return 0.5 * (spread.sum() - torch.linalg.slogdet(cov).logabsdet).item()


def _draws(q: Distribution, most: int) -> tuple[Tensor, Tensor]:
    """Draws z (M, D) of evenly spaced posteriors, and the indices (M,) of these."""
    count = q.batch_shape[0]
    with torch.no_grad():
        z = q.sample()
    rows = torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).long()
    return z[rows.to(z.device)], rows


@torch.no_grad()
def _log_mixture(
    log_prob: Callable[[Tensor], Tensor], z: Tensor, rows: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """log q(z|x) of each draw's own image, and log q(z), (M,) or (M, D), float64 on the CPU."""
    own, mixture = [], []
    size = max(1, ROOM // (count * z.shape[1]))
    for points, index in zip(z.split(size), rows.split(size), strict=True):
        table = log_prob(points[:, None].expand(-1, count, -1))
        own.append(table[torch.arange(len(index)), index])
        mixture.append(table.logsumexp(1) - math.log(count))
    return torch.cat(own).cpu().double(), torch.cat(mixture).cpu().double()


def _error(values: Tensor) -> float:
    return (values.std() / math.sqrt(len(values))).item()
