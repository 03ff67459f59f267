"""What the log-weights of an image's chains amount to."""

import math

import torch
from torch import Tensor


def log_mean_exp(values: Tensor) -> Tensor:
    """log of the mean of exp(values) over the first axis."""
    return values.logsumexp(0) - math.log(len(values))


def standard_error(log_weights: Tensor) -> Tensor:
    """Standard error (B,) of the logarithm of the mean weight, to first order; of one, infinite."""
    chains = len(log_weights)
    if chains == 1:
        return torch.full_like(log_weights[0], torch.inf)
    share = log_weights.softmax(0) * chains
    return share.std(0) / math.sqrt(chains)


def effective(log_weights: Tensor) -> Tensor:
    """Effective number (B,) of the chains with log-weights (C, B)."""
    share = log_weights.softmax(0)
    return 1 / share.square().sum(0)
