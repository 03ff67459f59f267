"""Several modalities: a code of each part, all codes of an item near each other (MMVM)."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vaebench import Chain, Draw, Gaussian, Posterior, Variant, hookimpl


class Separate(Posterior):
    r"""z = (z_1, …, z_M): q(z|x) = Π_m q_m(z_m|x_m), and the decoder of part m is told z_m.

    `mmvm` measures each z_m against h(z_m|x) = Σ_k q_k(z_m|x_k) / M, the mixture of all experts, in
    validation too; M = 1 leaves nothing to pay for. No prior that does not see the item is trained:
    N(0, I) stands there. A part that is missing has the mixture of the experts of the others.

    Args:
        features: The dimensions of each z_m.
        context: F_1 + … + F_M.
        parts: (F_1, …, F_M).
    """

    def __init__(self, features: int, context: int, *, parts: Sequence[int]) -> None:
        super().__init__(features * len(parts), context)
        self.sizes, self.size = list(parts), features
        self.heads = nn.ModuleList(Gaussian(features, size) for size in self.sizes)

    def forward(self, h: Tensor) -> Distribution:
        """Features (B, F) to the product of the experts."""
        return self.of_parts(h, range(len(self.sizes)))

    def of_parts(self, h: Tensor, parts: Sequence[int]) -> Distribution:
        """The experts of the parts S, and their mixture for each other part."""
        experts = self._experts(h)
        shown = sorted(set(parts))
        if not shown:
            return self.prior().expand(h.shape[:1])
        among = _mixture([experts[m] for m in shown])
        return self._chain([experts[m] if m in shown else among for m in range(len(experts))], h)

    @property
    def reads(self) -> list[list[int]]:
        """The code of each part."""
        places = range(self.size * len(self.sizes))
        return [list(places[m * self.size :][: self.size]) for m in range(len(self.sizes))]

    def _experts(self, h: Tensor) -> list[Distribution]:
        each = h.split(self.sizes, -1)
        return [head(mine) for head, mine in zip(self.heads, each, strict=True)]

    def _chain(self, laws: Sequence[Distribution], h: Tensor) -> Chain:
        """Independent blocks ``z1`` to ``zM``."""

        def law(found: Distribution, *before: Tensor) -> Distribution:
            return found

        return Chain(
            {f"z{m}": (self.size, partial(law, each)) for m, each in enumerate(laws, 1)},
            h.shape[:1],
        )


def _mixture(experts: Sequence[Distribution]) -> Distribution:
    """The even mixture of Gaussians, one of them itself."""
    if len(experts) == 1:
        return experts[0]
    from vaebench_plugins.gmm import GaussianMixture

    loc = torch.stack([expert.mean for expert in experts], 1)
    scale = torch.stack([expert.stddev for expert in experts], 1)
    return GaussianMixture(torch.zeros_like(loc[..., 0]), loc, scale, validate_args=False)


def mmvm(draw: Draw, kl: str = "mixture") -> Tensor:
    r"""Σ_m E_q[log p(x_m|z_m)] less what the experts differ by, (B,) nats; no bound.

    Args:
        draw: From a `Separate`.
        kl: ``mixture``: Σ_m KL(q_m ‖ h) with h the even mixture of all experts, by draws, M log M
            or less; ``pairwise``: Σ_m Σ_k KL(q_m ‖ q_k) / M in closed form, which is larger.

    Raises:
        ValueError: There is no such KL.

    References:
        Sutter, Meng, Agostini, Chopard, Fortin, Vogt & Mandt 2024, Unity by Diversity, arXiv
        2403.05300, eq. 4; ``pairwise`` is what its code computes.
    """
    q: Any = draw.q
    experts = list(q.at(draw.z[0]).values())
    if kl == "mixture":
        apart = draw.mean(_from_mixture(experts, list(q.parts(draw.z).values())))
    elif kl == "pairwise":
        pairs = [kl_divergence(one, other) for one in experts for other in experts]
        apart = torch.stack(pairs).sum(0) / len(experts)
    else:
        raise ValueError(f"kl is mixture or pairwise, not {kl!r}.")
    return draw.mean(draw.log_px) - draw.kl_weight * apart


def _from_mixture(experts: Sequence[Distribution], codes: Sequence[Tensor]) -> Tensor:
    """Σ_m log q_m(z_m) - log h(z_m) (K, B) of codes (K, B, D) of each part."""
    found = []
    for own, z in zip(experts, codes, strict=True):
        every = torch.stack([expert.log_prob(z) for expert in experts])
        found.append(own.log_prob(z) - every.logsumexp(0) + math.log(len(experts)))
    return torch.stack(found).sum(0)


@hookimpl
def vaebench_variants() -> list[Variant]:
    """A code of each part, against the mixture of all."""
    return [
        Variant(
            "mmvm",
            Separate,
            mmvm,
            needs={"parts"},
            deviations={
                "bound": "codes are measured against the mixture of the item's own experts",
                "likelihood": "training knows no prior that does not see the item: fit a sampler",
            },
            reference="Sutter et al. 2024, arXiv 2403.05300",
            family="modalities",
            description="A code z_m of each part, q_m(z_m|x_m) against the mixture of all experts "
            "of the item; exact or pairwise KL.",
        )
    ]
