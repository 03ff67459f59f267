"""GAMIX: one Gaussian for each input, held to the prior only through their aggregate.

The mixture is the one that the batch of posteriors forms, not one for each input (that is `gmm`).
"""

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Posterior, Variant, elbo, hookimpl


def posterior(features: int, context: int, components: int = 1) -> Posterior:
    """The Gaussian, or for an ablation a mixture of several for each input."""
    if components == 1:
        return Gaussian(features, context)
    from vaebench_plugins.gmm import GaussianMixturePosterior

    return GaussianMixturePosterior(features, context, components)


def aggregate_kl(draw: Draw, corrected: bool = False) -> Tensor:
    """KL(N(M, diag V) || N(0, I)) in nats (): M and V are the batch moments of the means.

    Args:
        draw: Draws for a batch of at least two inputs.
        corrected: Add the mean of the posterior variances to V, which makes it the variance of
            the aggregate posterior; the paper leaves it out.

    Raises:
        ValueError: A single input has no variance of means.
    """
    means = draw.q.mean
    if len(means) < 2:
        raise ValueError("gamix compares the moments of a batch: use batches of two or more.")
    centre, variance = means.mean(0), means.var(0, correction=0)
    if corrected:
        variance = variance + draw.q.variance.mean(0)
    variance = variance.clamp_min(torch.finfo(variance.dtype).tiny)
    return (variance + centre.square() - 1 - variance.log()).sum(-1) / 2


def aggregate_bound(draw: Draw, corrected: bool = False, aggregate: bool = True) -> Tensor:
    """E_q[log p(x|z)] less the batch's aggregate KL, (B,) nats; no bound on log p(x).

    Args:
        draw: Draws for a batch of at least two inputs.
        corrected: As in `aggregate_kl`.
        aggregate: Whether to hold the batch's aggregate to the prior rather than each posterior,
            which gives the ELBO; for an ablation.

    References:
        Rivera 2023, How to Train Your VAE, arXiv 2309.13160.
    """
    if not aggregate:
        return elbo(draw)
    return draw.mean(draw.log_px) - draw.kl_weight * aggregate_kl(draw, corrected)


def variance_penalty(draw: Draw, weight: float = 0.1) -> Tensor:
    """The regulariser weight · Σ (σ² - 1 - log σ²) (B,), which keeps each σ near 1."""
    variance = draw.q.variance
    return weight * (variance - 1 - variance.log()).sum(-1)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The published objective; `gamix[corrected=true]` has the aggregate's whole variance.

    Its parts can be left out one by one: `gamix[aggregate=false,weight=0]` is `gaussian`.
    """
    return [
        Variant(
            "gamix",
            posterior,
            objective=aggregate_bound,
            penalties={"variance": variance_penalty},
            deviations={
                "bound": "the KL is that of the batch's aggregate moments, not of each posterior"
            },
            reference="Rivera 2023, arXiv 2309.13160",
            family="aggregate criteria",
            description="Measures the KL of the batch's aggregate moments in place of each "
            "posterior's, with a penalty on its variance.",
        )
    ]
