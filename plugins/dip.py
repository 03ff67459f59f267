"""DIP-VAE: the ELBO and a penalty that brings the codes' covariance to that of the prior."""

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Variant, elbo, hookimpl


def covariance(draw: Draw, kind: str = "ii") -> Tensor:
    """The covariance (D, D) over the batch: of the posterior means, or of the codes themselves.

    Args:
        draw: Draws of posteriors without correlations, for a batch of at least two inputs.
        kind: `i`, Cov μ(x), or `ii`, which adds the mean of the posteriors' variances.

    Raises:
        ValueError: There is one input, or no such kind.
    """
    mean = draw.q.mean
    if len(mean) < 2:
        raise ValueError("dip takes the covariance of a batch: use batches of two or more.")
    if kind not in ("i", "ii"):
        raise ValueError(f"kind is i or ii, not {kind!r}.")
    centred = mean - mean.mean(0)
    found = centred.T @ centred / (len(mean) - 1)
    return found if kind == "i" else found + draw.q.variance.mean(0).diag()


def moments(draw: Draw, kind: str = "ii", off: float = 10.0, diagonal: float = 10.0) -> Tensor:
    """λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)², (B,) nats, C being the covariance of the batch.

    Args:
        draw: Draws of posteriors without correlations, for a batch of at least two inputs.
        kind: As in `covariance`.
        off: λ_od, nats beside the log-likelihood summed over pixels.
        diagonal: λ_d.

    Raises:
        ValueError: As in `covariance`.

    References:
        Kumar et al. 2018, arXiv 1711.00848, eq. 6 and 7.
    """
    found = covariance(draw, kind)
    square = (found - torch.eye(len(found)).to(found)).square()
    value = off * (square.sum() - square.trace()) + diagonal * square.trace()
    return (draw.kl_weight * value).expand(draw.z.shape[1])


@hookimpl
def vaebench_variants() -> list[Variant]:
    """DIP-VAE-II; `dip[kind=i]` gives DIP-VAE-I, `dip[off=0,diagonal=0]` `gaussian`."""
    return [
        Variant(
            "dip",
            Gaussian,
            objective=elbo,
            penalties={"moments": moments},
            reference="Kumar et al. 2018, arXiv 1711.00848",
            family="aggregate criteria",
            description="ELBO − λ_od Σ_{i≠j} C_ij² − λ_d Σ_i (C_ii − 1)²: brings the covariance C "
            "of the codes (kind ii) or of their means (kind i) to I.",
        )
    ]
