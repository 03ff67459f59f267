"""One training divided among several processes, so that the result is that of a single one.

Every rank sees its share of each batch. Features and log-likelihoods are gathered, and every rank
builds q(z|x) for the whole batch and draws from it with the same random state: objectives that
couple the images of a batch see all of them, and no variant needs to know of ranks.

Every rank then holds the same loss. The gradient of a gathered tensor is summed over the ranks,
which makes each parameter's gradient, averaged over the ranks, that of the one loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.nn.functional import all_gather


@dataclass(frozen=True)
class Ranks:
    """The processes that share a training, and which of them this one is.

    Attributes:
        rank: From 0; rank 0 keeps the result.
        size: How many there are.
        port: Where rank 0 listens on this machine.
    """

    rank: int = 0
    size: int = 1
    port: int = 0

    def mine(self, whole: Tensor, dim: int = 0) -> Tensor:
        """This rank's share of what belongs to a whole batch, divided along `dim`."""
        return whole if self.size == 1 else whole.chunk(self.size, dim)[self.rank]

    def whole(self, mine: Tensor, dim: int = 0) -> Tensor:
        """The shares of all ranks in their order; differentiable, a call on every rank."""
        return mine if self.size == 1 else torch.cat(all_gather(mine), dim)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the ranks, without gradient."""
        if self.size > 1:
            value = value.detach().clone()
            torch.distributed.all_reduce(value)
            value /= self.size
        return value


#: A process that trains by itself.
ALONE = Ranks()
