"""Linear-Gaussian sources, of which every density is known in closed form."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaebench.data import linear_parts
from vaebench.data.images import Request, Split
from vaebench.data.modalities import Modalities
from vaebench.data.sets import Sets
from vaebench.data.synthetic import HELD_OUT, within
from vaebench.errors import UserError, unknown

KINDS = ("sets", "parts")
#: z|c ~ N(A c, 0.5 I) and x|z ~ N(W z, 0.25 I), with c ~ N(0, I).
A = torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=torch.float64)
W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
CODE, NOISE = 0.5, 0.25
#: The most numbers of all training items.
_MOST = 50_000_000


def read(
    request: Request,
    *,
    kind: str = "sets",
    elements: int = 5,
    parts: int = 5,
    shared: int = 5,
    private: int = 0,
    items: int = 10_000,
    subset: int = 0,
) -> Sets | Modalities:
    """Linear maps of Gaussian codes with noise, of exactly known density.

    Args:
        request: Of which nothing is needed.
        kind: What items are: ``sets`` of elements x_i in R^4 that are noisy linear maps of codes
            z_i around the code c of a set, or ``parts``, see `linear_parts`.
        elements: How many a set has.
        parts: M.
        shared: The dimensions of the code that all parts share.
        private: Those of the code that each part has for itself.
        items: How many items are for training; the others are the same for every number of them.
        subset: Seed of the draws.

    Raises:
        UserError: There is no such kind, or there would be none or too many.
    """
    if kind not in KINDS:
        raise unknown("kind of linear:", kind, KINDS)
    if subset < 0:
        raise UserError(f"linear[subset] must be 0 or more, not {subset}.")
    if kind == "parts":
        return linear_parts.source(parts, shared, private, items, subset)
    return _sets(elements, items, subset)


def _sets(elements: int, items: int, subset: int) -> Sets:
    within("linear[elements]", elements, 1, 100)
    within("linear[items]", items, 1, _MOST // (len(W) * elements))
    test, validation, train = (
        Split(drawn(np.random.default_rng([subset, part]), count, elements))
        for part, count in enumerate((HELD_OUT, HELD_OUT, items))
    )
    nats = law(elements).entropy().item()
    note = f"A set of {elements} elements has {nats:.4f} nats on average, exactly."
    return Sets(train, validation, test, levels=2, notes=(note,), log_prob=log_prob)


def drawn(random: np.random.Generator, count: int, elements: int) -> Tensor:
    """Sets (count, n, 1, 1, 4), float32."""
    c = torch.from_numpy(random.standard_normal((count, 1, len(A))))
    noise = torch.from_numpy(random.standard_normal((count, elements, len(A))))
    z = c @ A.T + math.sqrt(CODE) * noise
    x = z @ W.T + math.sqrt(NOISE) * torch.from_numpy(
        random.standard_normal((count, elements, len(W)))
    )
    return x.float()[:, :, None, None]


def law(elements: int) -> MultivariateNormal:
    """The density of a set's elements, one after the other in R^4n, in float64."""
    within_element = CODE * W @ W.T + NOISE * torch.eye(len(W), dtype=W.dtype)
    shared = W @ A @ A.T @ W.T
    count = torch.eye(elements, dtype=W.dtype)
    covariance = torch.kron(count, within_element) + torch.kron(torch.ones_like(count), shared)
    return MultivariateNormal(torch.zeros(len(covariance), dtype=W.dtype), covariance)


def log_prob(x: Tensor) -> Tensor:
    """log p (N,) in nats, float64, of sets (N, m, 1, 1, 4) of any number m of elements."""
    return law(x.shape[1]).log_prob(x.double().flatten(1))
