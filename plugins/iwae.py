"""Importance-weighted autoencoders: the Gaussian posterior trained with the K-sample bound.

All estimators have the bound as their value; they differ in the gradient that reaches the encoder.
"""

import torch
from torch import Tensor

from vaebench import Draw, Gaussian, Variant, hookimpl, iwae


def _scoreless(draw: Draw) -> Draw:
    """The same draws with log q(z|x) a function of z alone: its parameters' score is dropped."""
    if draw.fixed is None or draw.log_weights is not None:
        raise ValueError(
            "dreg and stl need independent draws and log q with fixed parameters (Draw.fixed)."
        )
    return draw._replace(log_qz=draw.fixed.log_qz(draw.z))


def dreg(draw: Draw) -> Tensor:
    """The K-sample bound (B,) with the doubly reparameterised gradient of the encoder.

    The decoder's gradient has the normalised weights w, the sample's their squares:
    Σ_k w_k² d log w_k / dz_k dz_k/dφ, unbiased and with a signal that does not fade with K.
    With a KL weight β the score is β times as large, and the factor (1 - β) w_k + β w_k².

    References:
        Tucker et al. 2019, Doubly Reparameterized Gradient Estimators, arXiv 1810.04152, eq. 8.
    """
    draw = _scoreless(draw)
    log_w, z = draw.log_w, draw.z
    bound = iwae(draw)
    if not z.requires_grad:
        return bound
    (slope,) = torch.autograd.grad(log_w.sum(), z, retain_graph=True)
    weights = log_w.detach().softmax(0)
    change = draw.kl_weight * (weights.square() - weights).unsqueeze(-1) * slope
    return bound + (change * (z - z.detach())).sum((0, -1))


def sticking_the_landing(draw: Draw) -> Tensor:
    """The sampled ELBO (B,) of one draw without the score of q, whose expectation is zero.

    Raises:
        ValueError: K > 1, where dropping the score biases the gradient.

    References:
        Roeder et al. 2017, Sticking the Landing, arXiv 1703.09194, eq. 6.
    """
    if len(draw.z) != 1:
        raise ValueError(f"stl is biased with {len(draw.z)} draws: set samples=1 or use dreg.")
    return iwae(_scoreless(draw))


ESTIMATORS = {"plain": iwae, "dreg": dreg, "stl": sticking_the_landing}


def importance_weighted(draw: Draw, estimator: str = "plain") -> Tensor:
    """The K-sample bound (B,) in nats, with a choice of gradient estimators.

    Args:
        draw: K independent draws.
        estimator: `plain`, `dreg`, or `stl` (for K = 1).

    Raises:
        ValueError: There is no such estimator.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator is one of {', '.join(ESTIMATORS)}, not {estimator!r}.")
    return ESTIMATORS[estimator](draw)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The K-sample bound with K = 8."""
    return [
        Variant(
            "iwae",
            Gaussian,
            objective=importance_weighted,
            samples=8,
            reference="Burda et al. 2016, arXiv 1509.00519",
            family="objectives",
            description="Importance-weighted bound E log 1/K Σ_k p(x, z_k) / q(z_k|x), which "
            "tightens as K grows.",
        )
    ]
