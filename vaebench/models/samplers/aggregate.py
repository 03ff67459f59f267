"""The aggregate posterior itself: the mixture of the posteriors of all training images."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

#: Posteriors beyond which a density, which sums over all of them, takes too long.
MOST = 5000


class Aggregate(Distribution):
    """1/N Σ_i q_i(z) for posteriors of batch shape (N,): q(z) of Hoffman & Johnson 2016."""

    arg_constraints: ClassVar = {}
    support: Any = constraints.real_vector

    def __init__(self, posteriors: Distribution) -> None:
        self.posteriors = posteriors
        (self.count,) = posteriors.batch_shape
        self.support = posteriors.support
        super().__init__(torch.Size(), posteriors.event_shape, validate_args=False)

    def sample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws z (..., D): of each round over the images in a random order, one each."""
        wanted = math.prod(sample_shape)
        parts = []
        with torch.no_grad():
            for _ in range(-(-wanted // self.count)):
                z = self.posteriors.sample()
                parts.append(z[torch.randperm(self.count, device="cpu").to(z.device)])
        return torch.cat(parts)[:wanted].reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) (...) in nats."""
        if self.count > MOST:
            raise NotImplementedError(
                f"The density sums over {self.count} posteriors, more than the {MOST} that pay."
            )
        each = self.posteriors.log_prob(value.unsqueeze(-2))
        return each.logsumexp(-1) - math.log(self.count)


def aggregate(codes: Tensor, *, posteriors: Distribution) -> Distribution:
    """The mixture of the training images' posteriors, batch shape ().

    What a prior would have to be for the ELBO's rate to be the mutual information alone; with
    point masses as posteriors it repeats the training codes.
    """
    return Aggregate(posteriors)
