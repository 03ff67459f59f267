"""Laws of chains of conditionals: their blocks make up the whole, in density, draws and nats."""

import numpy as np
import torch
from torch import Tensor

from vaebench.models.chain import Chain, conditionals
from vaebench.models.draw import draw
from vaebench.models.variant import Variant
from vaebench.testing.laws.density import law_of, told_apart
from vaebench.testing.references import fitted, is_curved, space_of
from vaebench.testing.report import Report, check
from vaebench.testing.statistics import mean_at_most, vanishing_mean
from vaebench.testing.subjects import (
    DoesNotApply,
    View,
    features,
    need_density,
    one_small,
    small,
    views,
)

REPLICATES = 64


@check(
    "log_prob of a chain leaves a block out or is not given the blocks before it, or from_normal "
    "maps N(0, I) to another law than that of log_prob.",
    law="density",
)
def blocks(variant: Variant, report: Report) -> None:
    """The density of a chain is the product of its blocks', its map of normals has its law."""
    curved = None
    for view in views(variant, [one_small(variant)]):
        need_density(view.posterior)
        with torch.no_grad():
            laws = {"q": view.q(features(4)), "p": view.posterior.prior()}
            chains = {name: law for name, law in laws.items() if isinstance(law, Chain)}
            if not chains:
                raise DoesNotApply("neither q nor p is a chain of conditionals")
            for name, chain in chains.items():
                z = chain.sample((256,))
                total, parts = torch.zeros(z.shape[:-1], dtype=z.dtype), chain.parts(z)
                for block, law in chain.at(z).items():
                    total = total + law.log_prob(parts[block])
                off = ((chain.log_prob(z) - total).abs() / (1 + total.abs())).max().item()
                line = f"{view.name}: log {name} less the sum over its blocks {off:.2g} relative"
                report.exact(off < 1e-9, line)
            if "p" in chains:
                curved = is_curved(variant) if curved is None else curved
                _mapped(report, view, chains["p"], curved)


def _mapped(report: Report, view: View, p: Chain, curved: bool) -> None:
    """Hold draws made of standard normals against the density of a prior, batch shape ()."""
    dtype = p.sample().dtype
    law = law_of(p, lambda count: p.from_normal(torch.randn(count, view.size, dtype=dtype)))
    try:
        pilot = law.sample(2000)
    except NotImplementedError:
        report.lines.append(f"{view.name}, p: a block names no map of normals")
        return
    reference = fitted(space_of(p, curved), pilot)
    if reference is not None:
        rng = np.random.default_rng(report.seed)
        told_apart(report, rng, f"{view.name}, from_normal of p", law, reference, 8192)


@check(
    "The rates of a chain's blocks do not add up to log q - log p, or one is negative: a KL that "
    "is registered for their laws is wrong, or a block sees others in q than in p.",
    law="kl",
)
def rates(variant: Variant, report: Report) -> None:
    """The rates of a chain's blocks add up to its KL, and none of them is negative."""
    for view in views(variant, small(variant, 3)):
        need_density(view.posterior)
        with torch.no_grad():
            q, p = view.q(features(1)), view.posterior.prior()
            made = draw(q, p, _flat, REPLICATES * 64, stratified=False)
            if not conditionals(q, p, made.z):
                raise DoesNotApply("q and p are no chains of the same blocks")
            gap = _means(made.rate - (made.log_qz - made.log_pz))
            unit = 1 + made.kl.abs().item()
            report.statistical(
                vanishing_mean((gap / unit).numpy()),
                f"{view.name}: rates add up to {made.kl.item():.4f} nats, "
                f"{gap.mean().item():+.2g} more than log q - log p",
            )
            for name, rate in made.rates.items():
                report.statistical(
                    mean_at_most(_means(-rate / unit).numpy()),
                    f"{view.name}: rate of {name} {rate.mean().item():.4f} nats, not negative",
                )


def _flat(z: Tensor) -> Tensor:
    return z.new_zeros(z.shape[:-1])


def _means(values: Tensor) -> Tensor:
    """Means (REPLICATES,) of values (N, 1)."""
    return values.reshape(REPLICATES, -1).mean(1)
