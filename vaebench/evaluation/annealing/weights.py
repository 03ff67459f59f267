"""What the log-weights of an image's chains amount to."""

import math

import torch
from torch import Tensor


def log_mean_exp(values: Tensor) -> Tensor:
    """log of the mean of exp(values) over the first axis."""
    return values.logsumexp(0) - math.log(len(values))


def mean_weight_error(log_weights: Tensor) -> Tensor:
    """Standard error (B,) of the logarithm of the mean weight, to first order; of one, infinite.

    Its square is unbiased for the variance, so that it can be summed over images.
    """
    chains = len(log_weights)
    if chains == 1:
        return torch.full_like(log_weights[0], torch.inf)
    share = log_weights.softmax(0) * chains
    return share.std(0) / math.sqrt(chains)


def standard_error(log_weights: Tensor) -> Tensor:
    """Standard error (B,) of one image's logarithm of the mean weight.

    An error divided by its own estimate from C chains follows Student's t with C - 1 degrees of
    freedom, whose variance is (C - 1) / (C - 3): that much the estimate is widened.
    """
    chains = len(log_weights)
    return mean_weight_error(log_weights) * math.sqrt((chains - 1 or 1) / max(chains - 3, 1))


def effective(log_weights: Tensor) -> Tensor:
    """Effective number (B,) of the chains with log-weights (C, B)."""
    share = log_weights.softmax(0)
    return 1 / share.square().sum(0)
