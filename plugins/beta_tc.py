"""The β-TCVAE: the ELBO with another price of the codes' total correlation alone.

The mean KL is the mutual information of image and code, plus the total correlation
TC = KL(q(z) || Π_d q(z_d)), plus the KL of each dimension of the aggregate posterior q(z).
"""

import math
from typing import Any

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Variant, elbo, hookimpl


def stratified(batch: int, items: int) -> Tensor:
    """Log-weights (B, B), row i for the draw of input i: minibatch stratified sampling.

    The draw's own posterior has the weight 1/N, the other B - 1 of the batch share the rest
    equally, which makes q(z) unbiased and, for B = N, exact. The paper gives one of them another
    weight than the rest, at random; this is the mean of that over who it is.

    References:
        Chen et al. 2018, arXiv 1802.04942, app. C.2.
    """
    own = torch.eye(batch, dtype=torch.bool)
    rest = math.log1p(-1 / items) - math.log(batch - 1) if items > 1 else -math.inf
    return torch.full((batch, batch), rest).masked_fill(own, -math.log(items))


def weighted(batch: int, items: int) -> Tensor:
    """Log-weights (B, B), all -log B: minibatch-weighted sampling, exact for B = N.

    The published weight 1 / (B N) subtracts log N from every log-density, a constant that has no
    gradient and is left out.

    References:
        Chen et al. 2018, arXiv 1802.04942, app. C.1.
    """
    return torch.full((batch, batch), -math.log(batch))


SAMPLING = {"weighted": weighted, "stratified": stratified}


def total_correlation(draw: Draw, sampling: str = "weighted", *, items: int) -> Tensor:
    """log q(z) - Σ_d log q(z_d) (B,) in nats at one draw of each input; its mean estimates TC.

    Args:
        draw: Draws of factorised posteriors for a batch of at least two inputs.
        sampling: How the batch stands for all N inputs, `weighted` or `stratified`.
        items: N.

    Raises:
        ValueError: There is one input, or no such sampling.
    """
    z, q = draw.one(), draw.q
    if len(z) < 2:
        raise ValueError("beta-tc compares the posteriors of a batch: use two or more.")
    if sampling not in SAMPLING:
        raise ValueError(f"sampling is one of {', '.join(SAMPLING)}, not {sampling!r}.")
    factors: Any = q
    log_q = factors.base_dist.log_prob(z[:, None])
    weights = SAMPLING[sampling](len(z), items).to(log_q)
    joint = (log_q.sum(-1) + weights).logsumexp(1)
    return joint - (log_q + weights[..., None]).logsumexp(1).sum(-1)


def penalty(draw: Draw, beta: float = 6.0, sampling: str = "weighted", *, items: int) -> Tensor:
    """(β - 1) TC (B,) in nats: what the price β of the total correlation adds to the ELBO.

    Args:
        draw: Draws of factorised posteriors for a batch of at least two inputs.
        beta: β; 1 gives the ELBO.
        sampling: As in `total_correlation`.
        items: N, the number of training images.

    Raises:
        ValueError: As in `total_correlation`.

    References:
        Chen et al. 2018, arXiv 1802.04942, eq. 4.
    """
    if beta == 1:
        return torch.zeros_like(draw.log_px[0])
    return draw.kl_weight * (beta - 1) * total_correlation(draw, sampling, items=items)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """β = 6 with minibatch-weighted sampling; `beta-tc[beta=1]` is `gaussian`."""
    return [
        Variant(
            "beta-tc",
            Gaussian,
            objective=elbo,
            penalties={"total_correlation": penalty},
            reference="Chen et al. 2018, arXiv 1802.04942",
            family="aggregate criteria",
            description="ELBO − (β − 1) KL(q(z) ‖ Π_d q(z_d)): weighs the total correlation of the "
            "codes, estimated from the batch.",
        )
    ]
