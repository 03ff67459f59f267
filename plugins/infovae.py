"""InfoVAE: the ELBO's KL shared out between each posterior and the aggregate of all of them.

The criteria E log p(x|z) - (1 - α) KL(q(z|x) || p) - (α + λ - 1) MMD²(q(z), p) contain the ELBO
(α = 0, λ = 1), whose KL can be weighed anew, and the Wasserstein autoencoder (α = 1, any λ).

References:
    Zhao et al. 2017, InfoVAE, arXiv 1706.02262, eq. 6; the family of criteria: Zhao et al. 2017,
    Towards Deeper Understanding of Variational Autoencoding Models, arXiv 1702.08658.
"""

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Variant, hookimpl

#: Of the sum of inverse multiquadrics, beside 2 D, the expected square of a distance at the prior.
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: Kernels as functions of r = d² / (2 D scale), d being a distance in D dimensions.
KERNELS = {
    "imq": lambda r: torch.stack([s / (s + r) for s in SCALES]).sum(0),
    "rbf": lambda r: (-r).exp(),
}


def squared_mmd(x: Tensor, y: Tensor, kernel: str = "imq", scale: float = 1.0) -> Tensor:
    """The unbiased estimate () of MMD² between the laws of x (B, D) and y (C, D).

    It has no unit and is negative at times: its mean over draws is MMD², 0 for equal laws.

    Args:
        x: Independent draws, two or more.
        y: Independent draws, two or more.
        kernel: `imq`, Σ_s 1 / (1 + d² / (2 D s scale)) over seven s from .1 to 10, between 0 and
            7; or `rbf`, exp(-d² / (2 D scale)), between 0 and 1.
        scale: A factor of the squared width.

    Raises:
        ValueError: There are fewer than two draws, no such kernel, or no positive scale.

    References:
        Gretton et al. 2012, A Kernel Two-Sample Test, JMLR 13, eq. 3; the kernels' widths:
        Tolstikhin et al. 2018, arXiv 1711.01558, sec. 4.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError("MMD compares two sets of draws: use batches of two or more.")
    if kernel not in KERNELS:
        raise ValueError(f"kernel is one of {', '.join(KERNELS)}, not {kernel!r}.")
    if not scale > 0:
        raise ValueError(f"scale is positive, as {scale} is not.")

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        square = (a[:, None] - b).square().sum(-1)
        return KERNELS[kernel](square / (2 * a.shape[-1] * scale))

    def others(table: Tensor) -> Tensor:
        return (table.sum() - table.diagonal().sum()) / (len(table) * (len(table) - 1))

    return others(similarity(x, x)) + others(similarity(y, y)) - 2 * similarity(x, y).mean()


def _against_prior(draw: Draw, weight: float, kernel: str, scale: float) -> Tensor:
    """The weighted MMD² (B,) in nats between the batch's codes and as many draws of the prior."""
    if weight == 0:
        return torch.zeros_like(draw.log_px[0])
    z = draw.one()
    y = draw.p.sample(torch.Size((len(z),)))
    return (draw.kl_weight * weight * squared_mmd(z, y, kernel, scale)).expand(len(z))


def information(draw: Draw, alpha: float = 0.0) -> Tensor:
    """E_q[log p(x|z)] - (1 - α) KL(q(z|x) || p), (B,) nats: the ELBO for α = 0.

    Args:
        draw: Draws.
        alpha: α; 1 leaves the KL of each posterior out, and codes may then tell all of x.
    """
    return draw.mean(draw.log_px) - (1 - alpha) * draw.kl


def reconstruction(draw: Draw) -> Tensor:
    """E_q[log p(x|z)] (B,) nats, which is `information` for α = 1."""
    return draw.mean(draw.log_px)


def discrepancy(
    draw: Draw,
    alpha: float = 0.0,
    weight: float = 100.0,
    kernel: str = "rbf",
    scale: float = 1.0,
) -> Tensor:
    """(α + λ - 1) MMD²(q(z), p), (B,) nats beside the log-likelihood summed over pixels.

    Args:
        draw: Draws for a batch of at least two inputs.
        alpha: α.
        weight: λ. The estimate has an error of about 1/B for a batch of B, which a large λ turns
            into noise that drowns the likelihood.
        kernel: As in `squared_mmd`.
        scale: As in `squared_mmd`.

    Raises:
        ValueError: As in `squared_mmd`.
    """
    return _against_prior(draw, alpha + weight - 1, kernel, scale)


def transport(draw: Draw, weight: float = 100.0, kernel: str = "imq", scale: float = 1.0) -> Tensor:
    """λ MMD²(q(z), p), (B,) nats beside the log-likelihood summed over pixels.

    The published λ stands beside a squared error |x - x̂|²; beside log N(x; x̂, σ²) it is the
    weight λ / (2 σ²).

    Args:
        draw: Draws for a batch of at least two inputs.
        weight: λ.
        kernel: As in `squared_mmd`.
        scale: As in `squared_mmd`.

    Raises:
        ValueError: As in `squared_mmd`.

    References:
        Tolstikhin et al. 2018, Wasserstein Auto-Encoders, arXiv 1711.01558, algorithm 2.
    """
    return _against_prior(draw, weight, kernel, scale)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """α = 0 and λ = 100 with an RBF kernel; `infovae[weight=1]` is `gaussian`."""
    return [
        Variant(
            "infovae",
            Gaussian,
            objective=information,
            penalties={"mmd": discrepancy},
            reference="Zhao et al. 2017, arXiv 1706.02262",
            family="aggregate criteria",
            description="E log p(x|z) − (1 − α) KL(q(z|x) ‖ p) − (α + λ − 1) MMD²(q(z), p), λ "
            "being the option weight: the ELBO at α = 0 and λ = 1.",
        )
    ]


class WAE:
    """The plugin `wae-mmd`: the member of the family without a KL of each posterior."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """A sum of inverse multiquadrics on the Gaussian that all others have too."""
        return [
            Variant(
                "wae-mmd",
                Gaussian,
                objective=reconstruction,
                penalties={"mmd": transport},
                deviations={"bound": "the KL of each posterior is left out"},
                reference="Tolstikhin et al. 2018, arXiv 1711.01558",
                family="aggregate criteria",
                description="E log p(x|z) − λ MMD²(q(z), p): only the aggregate posterior q(z) is "
                "held to the prior, with a sum of inverse multiquadric kernels.",
            )
        ]
