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


#: The half-width in nats from which a bracket says too little.
WIDE = 0.5


class Information(NamedTuple):
    """The mean KL of a posterior, split in two, for a population of images.

    Each is the middle of a bracket. With the mixture of all N posteriors in place of q(z), the
    image's own one among them, I_q is too small; without the own one it is too large.

    Attributes:
        mutual_information: I_q(x; z), nats; where the bracket is wide its lower end.
        mutual_information_se: The bracket's half-width and the standard error over draws of z,
            in quadrature.
        marginal_kl: KL(q(z) || p(z)), nats; where the bracket is wide its upper end.
        marginal_kl_se: Its error, made likewise.
        half_width: Of the bracket, nats.
    """

    mutual_information: float
    mutual_information_se: float
    marginal_kl: float
    marginal_kl_se: float
    half_width: float

    @property
    def saturated(self) -> bool:
        """Whether the bracket is too wide to say more than that I_q is not below its lower end."""
        return not self.half_width <= WIDE


def information(q: Distribution, p: Distribution, draws: int = 1000) -> Information | None:
    r"""Split :math:`E_x KL(q(z|x) \| p(z))` into :math:`I_q(x; z) + KL(q(z) \| p(z))`.

    The expectation is one over a draw for each of evenly spaced images.

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        draws: The largest number of z.

    Returns:
        The two terms; None where q has no density at a given z.

    References:
        Hoffman & Johnson 2016, ELBO surgery, NIPS workshop on advances in approximate Bayesian
        inference; Poole et al. 2019, On Variational Bounds of Mutual Information,
        arXiv 1905.06922, eq. 12 (lower end) and eq. 13 (upper end).
    """
    z, rows = _draws(q, draws)
    try:
        own, ends = _log_mixtures(q.log_prob, z, rows, q.batch_shape[0])
    except NotImplementedError:
        return None
    half = _half_width(ends).item()
    mixture = ends.mean(0) if half <= WIDE else ends[0]
    mutual = own - mixture
    marginal = mixture - p.log_prob(z).cpu().double()
    return Information(
        mutual.mean().item(),
        math.hypot(half, _error(mutual)),
        marginal.mean().item(),
        math.hypot(half, _error(marginal)),
        half,
    )


class Margins(NamedTuple):
    """KL(q(z_d) || p(z_d)) of each dimension, each the middle of a bracket as in `Information`.

    Attributes:
        values: Nats (D,).
        errors: The brackets' half-widths and the standard errors over draws, in quadrature (D,).
        error: That of the sum.
        half_width: Of the sum's bracket, nats.
    """

    values: Tensor
    errors: Tensor
    error: float
    half_width: float


def marginal_kl_per_dimension(
    q: Distribution, p: Distribution, draws: int = 1000
) -> Margins | None:
    """KL(q(z_d) || p(z_d)) for a population of images.

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
        _, ends = _log_mixtures(factors.log_prob, z, rows, q.batch_shape[0])
    except NotImplementedError:
        return None
    ratio = ends.mean(0) - prior.log_prob(z).cpu().double()
    half = _half_width(ends)
    errors = torch.hypot(half, ratio.std(0) / math.sqrt(len(ratio)))
    whole = half.sum().item()
    return Margins(ratio.mean(0), errors, math.hypot(whole, _error(ratio.sum(1))), whole)


class MomentKL(NamedTuple):
    """A KL in nats, with its standard error over images and the bias that it is free of."""

    value: float
    se: float
    bias: float


def moment_kl(q: Distribution, p: Distribution, samples: int = 16) -> MomentKL | None:
    """KL of the Gaussian with mean and covariance of q(z) to p(z), which does not saturate.

    Moments of N images make it too large, by D (D + 3) / 4N for Gaussian codes without noise: the
    second-order bias of the log-determinant, estimated from the images, is subtracted. Moments
    are exact for factorised posteriors, and from draws for others.

    Args:
        q: Posterior, batch shape (N,), event shape (D,).
        p: Prior, batch shape (), event shape (D,).
        samples: Draws for each image where the moments are not known.

    Returns:
        None where the prior is not a diagonal Gaussian; infinite where the covariance has no full
        rank.
    """
    if not (isinstance(p, Independent) and isinstance(p.base_dist, Normal)):
        return None
    try:
        univariate(q)
        points, noise = q.mean[None], q.variance
    except NotImplementedError:
        with torch.no_grad():
            points = q.sample(torch.Size((samples,)))
        noise = torch.zeros_like(points[0])
    points, noise = points.detach().cpu().double(), noise.detach().cpu().double()
    center, variance = p.mean.cpu().double(), p.variance.cpu().double()
    count = points.shape[1]
    apart = points - points.mean((0, 1))
    second = torch.einsum("kni,knj->ij", apart, apart) / (len(points) * count)
    cov = second + noise.mean(0).diag()
    sign, logdet = torch.linalg.slogdet(cov)
    if sign <= 0 or torch.linalg.matrix_rank(cov, hermitian=True) < len(cov):
        return MomentKL(math.inf, math.nan, math.nan)
    spread = ((points - center).square().mean(0) + noise) / variance
    value = 0.5 * (spread.mean(0) - 1 + variance.log()).sum() - 0.5 * logdet
    inverse = torch.linalg.inv(cov)
    whitened = apart @ inverse
    means = apart.mean(0)
    first = ((means @ inverse) * means).sum(1).mean() / count
    products = torch.einsum("kni,lni->kln", whitened, apart)
    squares = (
        products.square().mean((0, 1))
        + 2 * (whitened.square() * noise).sum(2).mean(0)
        + ((noise @ inverse.square()) * noise).sum(1)
    )
    bias = (0.5 * first + 0.25 * (squares.mean() - len(cov)) / count).item()
    distances = products.diagonal().mean(1) + noise @ inverse.diagonal()
    influence = 0.5 * (spread.sum(1) - distances)
    # Where the influence vanishes, 2 N KL is chi-square: its standard deviation remains.
    se = math.sqrt(influence.var().item() / count + max(bias, 0.0) / count) if count > 1 else 0.0
    return MomentKL(value.item() - bias, se, bias)


def _draws(q: Distribution, most: int) -> tuple[Tensor, Tensor]:
    """Draws z (M, D) of evenly spaced posteriors, and the indices (M,) of these."""
    count = q.batch_shape[0]
    with torch.no_grad():
        z = q.sample()
    rows = torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).long()
    return z[rows.to(z.device)], rows


@torch.no_grad()
def _log_mixtures(
    log_prob: Callable[[Tensor], Tensor], z: Tensor, rows: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """log q(z|x) of each draw's own image (M,) or (M, D), and log q(z) (2, M) or (2, M, D).

    The first log q(z) is that of the mixture of all posteriors, the second that of all but the
    image's own. Float64 on the CPU.
    """
    own, ends = [], []
    size = max(1, ROOM // (count * z.shape[1]))
    for points, index in zip(z.split(size), rows.split(size), strict=True):
        table = log_prob(points[:, None].expand(-1, count, -1)).double()
        place = torch.arange(len(index)), index
        own.append(table[place])
        whole = table.logsumexp(1) - math.log(count)
        table[place] = -math.inf
        ends.append(torch.stack([whole, table.logsumexp(1) - math.log(max(1, count - 1))]))
    return torch.cat(own).cpu(), torch.cat(ends, 1).cpu()


def _half_width(ends: Tensor) -> Tensor:
    """Half the mean distance of two ends (2, M, ...)."""
    return (ends[0] - ends[1]).mean(0) / 2


def _error(values: Tensor) -> float:
    return (values.std() / math.sqrt(len(values))).item()
