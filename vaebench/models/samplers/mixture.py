"""Gaussians: a mixture with full covariances, by maximum likelihood, and N(0, I)."""

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)


def normal(codes: Tensor) -> Distribution:
    """N(0, I) whatever the codes (N, D): what a model is worth whose codes nothing ties to it."""
    return Independent(Normal(torch.zeros_like(codes[0]), 1.0, validate_args=False), 1)


def gmm(codes: Tensor, components: int = 10) -> Distribution:
    """The mixture that expectation maximisation fits to codes (N, D), batch shape ().

    Args:
        codes: What it is fitted to.
        components: How many Gaussians.

    Raises:
        ValueError: There are fewer codes than components.

    References:
        Ghosh et al. 2020, From Variational to Deterministic Autoencoders, arXiv 1903.12436, sec. 4.
    """
    from sklearn.mixture import GaussianMixture

    seed = int(torch.randint(2**31, ()))
    found = GaussianMixture(components, reg_covar=1e-6, max_iter=200, random_state=seed)
    found.fit(codes.double().cpu().numpy())
    weights, means, covariances = (
        torch.as_tensor(value, dtype=codes.dtype, device=codes.device)
        for value in (found.weights_, found.means_, found.covariances_)
    )
    return MixtureSameFamily(
        Categorical(weights, validate_args=False),
        MultivariateNormal(means, covariances, validate_args=False),
        validate_args=False,
    )
