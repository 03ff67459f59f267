"""Several modalities: posteriors of any parts, by experts or by one encoder of all subsets.

All of them have z = (s, p_1, …, p_M): s is what the parts share, and p_m, of `private` dimensions,
is told to the decoder of part m alone and inferred from it alone. Parts that are missing leave
p(p_m) = N(0, I), and q(z) = p(z) where all of them are missing.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from vaebench import Draw, Gaussian, Posterior, Variant, elbo, hookimpl

#: Means and deviations (B, C, S) of C components.
Components = tuple[Tensor, Tensor]
#: Heads of attention.
_HEADS = 4


class OfParts(Posterior):
    """q(z|x_S) for any parts S, where a subclass says what these tell of what all parts share.

    Args:
        features: L, what each decoder is told: of z = (s, p_1, …, p_M) the shared dimensions and
            one part's own.
        context: F_1 + … + F_M.
        private: The dimensions of each p_m.
        parts: (F_1, …, F_M).

    Raises:
        ValueError: Nothing would be shared.
    """

    def __init__(
        self, features: int, context: int, private: int = 0, *, parts: Sequence[int]
    ) -> None:
        if not 0 <= private < features:
            raise ValueError(f"private is from 0 to {features - 1}, less than --latent.")
        super().__init__(features + (len(parts) - 1) * private, context)
        self.sizes, self.shared, self.private = list(parts), features - private, private
        self.own = nn.ModuleList(Gaussian(private, size) for size in self.sizes if private)

    def forward(self, h: Tensor) -> Distribution:
        """Features (B, F) of whole items to q(z|x)."""
        return self.of_parts(h, range(len(self.sizes)))

    def of_parts(self, h: Tensor, parts: Sequence[int]) -> Distribution:
        """q(z|x_S) from the features (B, F) of the parts S; p(z) where there are none."""
        each = h.split(self.sizes, -1)
        shown = {m: each[m] for m in sorted(set(parts))}
        if not shown:
            return self.prior().expand(h.shape[:1])
        loc, scale = self.components(shown)
        if self.private:
            lead = (*loc.shape[:2], self.private)
            nothing = torch.zeros(lead, dtype=h.dtype, device=h.device)
            blocks = [(loc, scale)]
            for m in range(len(self.sizes)):
                q: Any = self.own[m](each[m]) if m in shown else None
                blocks.append(
                    (nothing, nothing + 1)
                    if q is None
                    else (q.mean[:, None].expand(lead), q.stddev[:, None].expand(lead))
                )
            loc, scale = (torch.cat(some, -1) for some in zip(*blocks, strict=True))
        if loc.shape[1] == 1:
            return Independent(Normal(loc[:, 0], scale[:, 0], validate_args=False), 1)
        return self.mixed(loc, scale)

    def components(self, shown: Mapping[int, Tensor]) -> Components:
        """What parts with features (B, F_m) say of s: one Gaussian, or some of equal weight."""
        raise NotImplementedError

    def mixed(self, loc: Tensor, scale: Tensor) -> Distribution:
        """The even mixture of components."""
        from vaebench_plugins.gmm import GaussianMixture

        return GaussianMixture(torch.zeros_like(loc[..., 0]), loc, scale, validate_args=False)

    @property
    def reads(self) -> list[list[int]] | None:
        """The shared dimensions and a part's own, for each part."""
        if not self.private:
            return None
        first = [self.shared + m * self.private for m in range(len(self.sizes))]
        shared = list(range(self.shared))
        return [shared + list(range(start, start + self.private)) for start in first]


class Experts(OfParts):
    """One Gaussian q_m(s|x_m) for each part; a subclass says what several of them come to."""

    def __init__(
        self, features: int, context: int, private: int = 0, *, parts: Sequence[int]
    ) -> None:
        super().__init__(features, context, private, parts=parts)
        self.heads = nn.ModuleList(Gaussian(self.shared, size) for size in self.sizes)

    def experts(self, shown: Mapping[int, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Mean and deviation (B, S) of each part's expert."""
        laws: list[Any] = [self.heads[m](h) for m, h in shown.items()]
        return [(law.mean, law.stddev) for law in laws]


def product(experts: Sequence[tuple[Tensor, Tensor]], prior: float = 1.0) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the product of Gaussians and of N(0, I), that to a power `prior`."""
    precisions = [scale.square().reciprocal() for _, scale in experts]
    precision = prior + torch.stack(precisions).sum(0)
    pulls = [loc * each for (loc, _), each in zip(experts, precisions, strict=True)]
    return torch.stack(pulls).sum(0) / precision, precision.rsqrt()


class Product(Experts):
    """q(s|x_S) ∝ p(s) Π_m q_m(s|x_m): experts stand for likelihoods, and p(s) counts once."""

    def components(self, shown: Mapping[int, Tensor]) -> Components:
        """The product of the experts and of the prior."""
        loc, scale = product(self.experts(shown))
        return loc[:, None], scale[:, None]


class Mixture(Experts):
    """q(s|x_S) = Σ_m q_m(s|x_m) / |S|, which a training step draws expert by expert."""

    def components(self, shown: Mapping[int, Tensor]) -> Components:
        """The experts."""
        loc, scale = (torch.stack(some, 1) for some in zip(*self.experts(shown), strict=True))
        return loc, scale

    def mixed(self, loc: Tensor, scale: Tensor) -> Distribution:
        """The even mixture, stratified."""
        from vaebench_plugins.gmm import StratifiedGaussianMixture as Strata

        return Strata(torch.zeros_like(loc[..., 0]), loc, scale, validate_args=False)


class MixtureOfProducts(Experts):
    """q(s|x_S): the even mixture of p(s) Π_m q_m(s|x_m) over all parts of S that are not empty."""

    def components(self, shown: Mapping[int, Tensor]) -> Components:
        """A product for each subset, 2^|S| - 1 of them."""
        each = self.experts(shown)
        sizes = range(1, len(each) + 1)
        laws = [product(some) for size in sizes for some in combinations(each, size)]
        loc, scale = (torch.stack(some, 1) for some in zip(*laws, strict=True))
        return loc, scale


class Joint(Independent):
    """A product of experts that knows these."""

    def __init__(self, law: Distribution, experts: list[Distribution]) -> None:
        super().__init__(law, 1, validate_args=False)
        self.experts = experts


class TotalCorrelation(Experts):
    """q(z|x_S) ∝ Π_m q_m(z|x_m), without the prior.

    Args:
        features: D.
        context: F_1 + … + F_M.
        parts: (F_1, …, F_M).
    """

    def __init__(self, features: int, context: int, *, parts: Sequence[int]) -> None:
        super().__init__(features, context, parts=parts)

    def of_parts(self, h: Tensor, parts: Sequence[int]) -> Distribution:
        """The product of the experts S; p(z) where there are none."""
        each = h.split(self.sizes, -1)
        shown = {m: each[m] for m in sorted(set(parts))}
        if not shown:
            return self.prior().expand(h.shape[:1])
        experts = self.experts(shown)
        laws: list[Distribution] = [
            Independent(Normal(*expert, validate_args=False), 1) for expert in experts
        ]
        return Joint(Normal(*product(experts, prior=0.0), validate_args=False), laws)


class Pooled(OfParts):
    r"""q(s|x_S) = N(η / λ, diag λ^-1) with (η, λ) read from Σ_m f_m(x_m), in any order of parts.

    Sums of natural parameters are the posterior itself where parts are exponential families of z.

    Args:
        features: L, what each decoder is told.
        context: F_1 + … + F_M.
        private: The dimensions of z that each part has for itself.
        encoder: ``sum`` adds the parts' embeddings (Zaheer et al. 2017), ``attention`` lets them
            attend to each other before (Lee et al. 2019).
        width: Of the embeddings, and hidden units.
        parts: (F_1, …, F_M).

    Raises:
        ValueError: There is no such encoder, its width does not fit, or nothing would be shared.
    """

    def __init__(
        self,
        features: int,
        context: int,
        private: int = 0,
        encoder: str = "sum",
        width: int = 128,
        *,
        parts: Sequence[int],
    ) -> None:
        super().__init__(features, context, private, parts=parts)
        if encoder not in ("sum", "attention"):
            raise ValueError(f"encoder is sum or attention, not {encoder!r}.")
        if width < 1 or (encoder == "attention" and width % _HEADS):
            raise ValueError(f"width is a multiple of {_HEADS} for attention, not {width}.")
        self.embed = nn.ModuleList(nn.Linear(size, width) for size in self.sizes)
        self.hidden = nn.ModuleList(nn.Linear(size, width) for size in self.sizes)
        self.attend = Attention(width) if encoder == "attention" else None
        self.inner = nn.Linear(width, width)
        self.out = nn.Linear(2 * width, 2 * self.shared)

    def components(self, shown: Mapping[int, Tensor]) -> Components:
        """The Gaussian that the pooled embeddings of the parts stand for."""
        each = torch.stack(
            [self.embed[m](h) + torch.tanh(self.hidden[m](h)) for m, h in shown.items()], 1
        )
        if self.attend is not None:
            each = self.attend(each)
        pooled = each.sum(1)
        pull, raw = self.out(torch.cat([pooled, torch.tanh(self.inner(pooled))], -1)).chunk(2, -1)
        precision = nn.functional.softplus(raw) + 1e-3
        return (pull / precision)[:, None], precision.rsqrt()[:, None]


class Attention(nn.Module):
    """A block of self-attention over the parts, (B, M, W) to (B, M, W), whatever their order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.after = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, each: Tensor) -> Tensor:
        """Embeddings to embeddings."""
        asked, known, told = (
            part.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for part in self.of(each).chunk(3, -1)
        )
        found = nn.functional.scaled_dot_product_attention(asked, known, told)
        each = each + self.out(found.transpose(1, 2).flatten(2))
        after: Tensor = self.after(each)
        return each + after


def mvae(draw: Draw, subsets: int = 1) -> Tensor:
    r"""The ELBO of whole items, of each part, and of some random subsets, summed, (B,) nats.

    Of items of one part it is the ELBO.

    Args:
        draw: Of whole items.
        subsets: How many random subsets of two parts or more, but not all, a step has.

    References:
        Wu & Goodman 2018, Multimodal Generative Models for Scalable Weakly-Supervised Learning,
        arXiv 1802.05335, eq. 4.
    """
    each: Any = draw.each
    parts, total = len(each), elbo(draw)
    if parts < 2:
        return total
    chosen = [[m] for m in range(parts)]
    for _ in range(subsets if parts > 2 else 0):
        size = int(torch.randint(2, parts, ()))
        chosen.append(torch.randperm(parts)[:size].tolist())
    for some in chosen:
        total = total + elbo(draw.of_parts(some))
    return total


def mvtcae(draw: Draw, alpha: float = 0.9, beta: float = 1.0) -> Tensor:
    r"""A bound on the total correlation of the parts less what their experts miss, (B,) nats.

    .. math:: \frac{M - \alpha}{M} E_q[\log p(x|z)] - \beta \Bigl((1 - \alpha) KL(q(z|x) \| p(z))
        + \frac{\alpha}{M} \sum_m KL(q(z|x) \| q_m(z|x_m))\Bigr)

    Args:
        draw: From a `TotalCorrelation`.
        alpha: α, from 0 to 1.
        beta: β.

    References:
        Hwang, Kim, Hong & Kim 2021, Multi-View Representation Learning via Total Correlation
        Objective, NeurIPS 2021, eq. 9.
    """
    q: Any = draw.q
    parts = len(q.experts)
    missed = torch.stack([kl_divergence(q, expert) for expert in q.experts]).sum(0)
    costs = (1 - alpha) * draw.kl + alpha / parts * draw.kl_weight * missed
    return (parts - alpha) / parts * draw.mean(draw.log_px) - beta * costs


def masked(draw: Draw) -> Tensor:
    r"""A bound on log p(x_S) and one on log p(x_rest | x_S), summed, (B,) nats.

    .. math:: E_{q(z|x_S)}[\log p(x_S|z)] - KL(q(z|x_S) \| p(z))
        + E_{q(z|x)}[\log p(x_{\setminus S}|z)] - KL(q(z|x) \| q(z|x_S))

    S is drawn for each batch: first its size, from 0 to M - 1, then its parts. Without parts in S
    it is the ELBO. It is log p(x) for every S where both posteriors are exact; where they are not,
    the second bound takes q(z|x_S) for the posterior, and the sum can exceed log p(x).

    References:
        Hirt, Campolo, Leong & Ortega 2024, Learning multi-modal generative models with
        permutation-invariant encoders and tighter variational objectives, arXiv 2309.00380,
        eq. 5 to 7.
    """
    each: Any = draw.each
    parts = len(each)
    shown = torch.randperm(parts)[: int(torch.randint(parts, ()))].tolist()
    return bound(draw, shown)


def bound(draw: Draw, shown: Sequence[int]) -> Tensor:
    """The objective of `masked` for given parts S."""
    each: Any = draw.each
    if not shown:
        return draw.mean(draw.log_px) - draw.kl
    some = draw.of_parts(shown)
    rest = [m for m in range(len(each)) if m not in shown]
    conditional = draw.mean(each[rest].sum(0)) - draw.kl_weight * kl_divergence(draw.q, some.q)
    return some.mean(some.log_px) - some.kl + conditional


FAMILY, NEEDS = "modalities", frozenset({"parts"})


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The product of experts."""
    return [
        Variant(
            "poe",
            Product,
            needs=NEEDS,
            reference="Wu & Goodman 2018, arXiv 1802.05335, eq. 2 and 3",
            family=FAMILY,
            description="q(z|x) ∝ p(z) Π_m q_m(z|x_m), the prior counted once, trained with the "
            "ELBO of whole items.",
        )
    ]


class MVAE:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The product of experts, trained on parts too."""
        return [
            Variant(
                "mvae",
                Product,
                mvae,
                needs=NEEDS,
                deviations={"bound": "a sum of ELBOs, of whole items and of parts of them"},
                reference="Wu & Goodman 2018, arXiv 1802.05335, eq. 4",
                family=FAMILY,
                description="The posterior of poe, trained with the sum of the ELBOs of whole "
                "items, of each part and of a random subset.",
            )
        ]


class MMVAE:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The mixture of experts."""
        return [
            Variant(
                "moe",
                Mixture,
                needs=NEEDS,
                reference="Shi et al. 2019, arXiv 1911.03393, Palumbo et al. 2023 (private)",
                family=FAMILY,
                description="q(z|x) = Σ_m q_m(z|x_m) / M, a draw of each expert in every step: "
                "the ELBO with the density of the mixture, not the mean of the experts' ELBOs.",
            )
        ]


class MoPoE:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The mixture of products of experts."""
        return [
            Variant(
                "mopoe",
                MixtureOfProducts,
                needs=NEEDS,
                reference="Sutter et al. 2021, arXiv 2105.02470, eq. 8",
                family=FAMILY,
                description="The even mixture of p(z) Π_m q_m(z|x_m) over all subsets of the "
                "parts; the ELBO with its density.",
            )
        ]


class MVTCAE:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The product of experts with a bound on total correlation."""
        return [
            Variant(
                "mvtcae",
                TotalCorrelation,
                mvtcae,
                needs=NEEDS,
                deviations={"bound": "log p(x|z) and KL have weights: a bound on another quantity"},
                reference="Hwang et al. 2021, NeurIPS 34",
                family=FAMILY,
                description="q(z|x) ∝ Π_m q_m(z|x_m), drawn towards each expert as well as towards "
                "the prior.",
            )
        ]


class Masked:
    """A plugin for itself."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """The permutation-invariant encoder with the masked bound."""
        return [
            Variant(
                "masked",
                Pooled,
                masked,
                needs=NEEDS,
                deviations={
                    "bound": "its second part takes q(z|x_S) for the posterior given some parts"
                },
                reference="Hirt et al. 2024, arXiv 2309.00380",
                family=FAMILY,
                description="One encoder of any subset S of the parts, by sums or attention; a "
                "bound on log p(x_S) and one on log p(rest | x_S), S random.",
            )
        ]
