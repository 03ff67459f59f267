"""Items of several parts that are linear maps of one Gaussian code, of exactly known density."""

from collections.abc import Collection
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaebench.data.images import Images, Split
from vaebench.data.modalities import Modalities, aligned
from vaebench.data.synthetic import HELD_OUT, within

#: A part has from the first of these numbers to the last.
LEAST, MOST = 30, 59
#: The variance of each number given the code.
NOISE = 1.0
#: The most numbers of all training items.
_ALL = 50_000_000
#: Which random numbers are those of the model; the splits have 0, 1 and 2.
_MODEL = 3


class Model:
    r"""x_m = W_m (z, z_m) + b_m + ε_m with z, z_m and ε_m ~ N(0, I).

    The columns of each W_m are orthonormal, those that read z and those that read z_m each among
    themselves; b_m ~ N(0, I).

    Args:
        parts: M.
        shared: The dimensions of z.
        private: Those of each z_m.
        subset: Seed.

    Attributes:
        weights: W_m (P_m, shared + private) of each part by its name, ``part1`` to ``partM``.
        offsets: b_m (P_m).
        shared: The dimensions of z.

    References:
        Hirt, Campolo, Leong & Ortega 2024, Learning multi-modal generative models with
        permutation-invariant encoders and tighter variational objectives, arXiv 2309.00380,
        sec. 5.1: M = 5, z in R^5, N = 5000.
    """

    def __init__(self, parts: int, shared: int, private: int, subset: int) -> None:
        random = np.random.default_rng([subset, _MODEL])
        sizes = random.integers(LEAST, MOST + 1, parts)
        self.shared = shared
        self.weights: dict[str, Tensor] = {}
        self.offsets: dict[str, Tensor] = {}
        for number, size in enumerate(sizes, 1):
            columns = [random.standard_normal((size, width)) for width in (shared, private)]
            made = np.concatenate([np.linalg.qr(some).Q for some in columns], 1)
            self.weights[f"part{number}"] = torch.from_numpy(made)
            self.offsets[f"part{number}"] = torch.from_numpy(random.standard_normal(size))

    def drawn(self, random: np.random.Generator, count: int) -> dict[str, Tensor]:
        """Items as their parts (count, 1, 1, P_m), float32."""
        z = torch.from_numpy(random.standard_normal((count, self.shared)))
        found = {}
        for name, weight in self.weights.items():
            size, width = weight.shape
            own = torch.from_numpy(random.standard_normal((count, width - self.shared)))
            noise = torch.from_numpy(random.standard_normal((count, size)))
            x = torch.cat([z, own], -1) @ weight.T + self.offsets[name] + NOISE**0.5 * noise
            found[name] = x.float()[:, None, None]
        return found

    def law(self, only: Collection[str] | None = None) -> MultivariateNormal:
        """The density of some parts side by side, all if None, in float64."""
        names = [name for name in self.weights if only is None or name in only]
        shared = torch.cat([self.weights[name][:, : self.shared] for name in names])
        own = [self.weights[name][:, self.shared :] for name in names]
        covariance = shared @ shared.T + torch.block_diag(*(each @ each.T for each in own))
        covariance = covariance + NOISE * torch.eye(len(covariance), dtype=covariance.dtype)
        return MultivariateNormal(torch.cat([self.offsets[name] for name in names]), covariance)

    def log_prob(self, x: Tensor, only: Collection[str] | None = None) -> Tensor:
        """log p (N,) in nats, float64, of items (N, S): of all their parts, or of some."""
        sizes = [len(weight) for weight in self.weights.values()]
        parts = zip(self.weights, x.double().split(sizes, -1), strict=True)
        kept = [part for name, part in parts if only is None or name in only]
        return self.law(only).log_prob(torch.cat(kept, -1))


def source(parts: int, shared: int, private: int, items: int, subset: int) -> Modalities:
    """The data set of a `Model`, its splits independent draws.

    Args:
        parts: M.
        shared: The dimensions of the code that all parts share.
        private: Those of the code that each part has for itself.
        items: How many items are for training; the others are the same for every number of them.
        subset: Seed of model and draws.

    Raises:
        UserError: A number is out of its range.
    """
    within("linear[parts]", parts, 1, 100)
    within("linear[shared]", shared, 1, LEAST)
    within("linear[private]", private, 0, LEAST)
    within("linear[items]", items, 1, _ALL // (MOST * parts))
    model = Model(parts, shared, private, subset)
    drawn = [
        model.drawn(np.random.default_rng([subset, part]), count)
        for part, count in enumerate((HELD_OUT, HELD_OUT, items))
    ]
    test, validation, train = ({n: Split(x) for n, x in some.items()} for some in drawn)
    nats = model.law().entropy().item()
    return aligned(
        {name: Images(train[name], validation[name], test[name], levels=2) for name in train},
        log_prob=partial(Model.log_prob, model),
        notes=(f"An item of {parts} parts has {nats:.4f} nats on average, exactly.",),
    )
