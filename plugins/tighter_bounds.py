"""Between the ELBO and the importance-weighted bound: MIWAE, PIWAE and CIWAE.

A tighter bound is not a better training signal for the encoder, whose gradient drowns in noise as
K grows. All three spend the same draws on a bound in between.

References:
    Rainforth et al. 2018, Tighter Variational Bounds are Not Necessarily Better, arXiv 1802.04537.
"""

import math

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Variant, hookimpl, iwae

PAPER = "Rainforth et al. 2018, arXiv 1802.04537"


def _grouped(draw: Draw, groups: int) -> Tensor:
    """log w as (M, K, B): M groups of K draws."""
    if draw.log_weights is not None:
        raise ValueError("Groups are made of independent draws, not of stratified ones.")
    if groups < 1 or len(draw.z) % groups:
        raise ValueError(f"{len(draw.z)} draws do not make {groups} equal groups.")
    return draw.log_w.unflatten(0, (groups, -1))


def miwae(draw: Draw, groups: int = 2) -> Tensor:
    """The mean over M groups of the K-sample bound of each, (B,) nats; eq. 8.

    Args:
        draw: M K independent draws.
        groups: M; 1 gives the importance-weighted bound, one a draw the sampled ELBO.

    Raises:
        ValueError: The draws do not make that many equal groups.
    """
    log_w = _grouped(draw, groups)
    return (log_w.logsumexp(1) - math.log(log_w.shape[1])).mean(0)


def piwae(draw: Draw, groups: int = 2) -> Tensor:
    """The M K-sample bound (B,) in value and for the decoder; the encoder follows MIWAE; sec. 5.

    Args:
        draw: M K independent draws.
        groups: M.

    Raises:
        ValueError: The draws do not make that many equal groups.
    """
    log_w = _grouped(draw, groups).detach()
    of_encoder = log_w.softmax(1).flatten(0, 1) / groups
    of_decoder = log_w.flatten(0, 1).softmax(0)
    bound, z = iwae(draw).detach(), draw.z
    log_joint = draw.log_px + draw.kl_weight * draw.log_pz
    weighted = of_decoder * log_joint - draw.kl_weight * of_encoder * draw.log_qz
    if not z.requires_grad:
        return bound + (weighted - weighted.detach()).sum(0)
    (slope,) = torch.autograd.grad(log_joint.sum(), z, retain_graph=True)
    change = (of_encoder - of_decoder).unsqueeze(-1) * slope * (z - z.detach())
    return bound + (weighted - weighted.detach()).sum(0) + change.sum((0, -1))


def ciwae(draw: Draw, beta: float = 0.5) -> Tensor:
    """β times the sampled ELBO plus 1 - β times the K-sample bound, (B,) nats; eq. 10.

    Args:
        draw: K draws.
        beta: β in [0, 1]; 0 gives the importance-weighted bound, 1 the sampled ELBO.

    Raises:
        ValueError: β lies outside [0, 1], where the combination is no bound.
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta lies between 0 and 1, not at {beta}.")
    return beta * draw.mean(draw.log_w) + (1 - beta) * iwae(draw)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The three bounds with eight draws each, two groups of four where they are grouped."""
    return [
        Variant(
            "miwae",
            Gaussian,
            objective=miwae,
            samples=8,
            reference=PAPER,
            family="objectives",
            description="The mean over groups of draws of their importance-weighted bounds.",
        ),
        Variant(
            "piwae",
            Gaussian,
            objective=piwae,
            samples=8,
            deviations={"training_gradient": "encoder and decoder follow bounds of their own"},
            reference=PAPER,
            family="objectives",
            description="The decoder follows one bound of all draws, the encoder the mean of "
            "the groups' bounds.",
        ),
        Variant(
            "ciwae",
            Gaussian,
            objective=ciwae,
            samples=8,
            reference=PAPER,
            family="objectives",
            description="A combination β ELBO + (1 − β) IWAE.",
        ),
    ]
