"""Columns about the latent space: what q(z|x) and their mean q(z) do with its dimensions."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vaebench.compute.random import seeded
from vaebench.evaluation.functional import aggregate
from vaebench.evaluation.functional.posteriors import (
    active_units,
    collapsed,
    kl_per_dimension,
    posterior_means,
    posterior_variances,
)
from vaebench.evaluation.functional.summaries import histogram, quantiles
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.chain import Chain
from vaebench.models.distributions import univariate
from vaebench.models.draw import draw
from vaebench.models.metric import DENSITY, ELBO, Measurement, Metric, Unavailable

#: Most posteriors in the mixture q(z), and most draws from it.
POSTERIORS, DRAWS = 10_000, 1000
#: Draws from each posterior for a KL without a closed form.
KL_DRAWS = 64


class _Rate(NamedTuple):
    """KL (N,) of the posteriors in nats, its squared Monte Carlo errors (N,), and by block (N,).

    The last are those of a chain of conditionals, and empty for all else.
    """

    values: Tensor
    errors: Tensor
    blocks: dict[str, Tensor]


def kl(subject: Subject) -> Measurement:
    """The rate, with its histogram over images and its mean in each dimension or block."""
    rate = _kl(subject)
    detail: dict[str, Any] = {"histogram": histogram(rate.values)}
    factors = kl_per_dimension(subject.q, subject.p)
    if factors is not None:
        detail["per_dimension"] = factors.mean(0).tolist()
    if rate.blocks:
        detail["per_block"] = {name: each.mean().item() for name, each in rate.blocks.items()}
    if not subject.closed_kl:
        detail["monte_carlo_se"] = math.sqrt(rate.errors.sum().item()) / len(rate.values)
        found = Measurement.mean(rate.values, detail=detail, draws=KL_DRAWS)
        blocks = rate.blocks if len(rate.blocks) > 1 else {}
        parts = {name: Measurement.mean(each) for name, each in blocks.items()}
        return replace(found, parts=parts)
    return Measurement.mean(rate.values, detail=detail)


def _kl(subject: Subject) -> _Rate:
    """The rate, in closed form or by draws.

    Draws that need no decoder are cheap: where there is no closed form each image gets more of
    them than the ELBO has.
    """
    if subject.closed_kl:
        return _Rate(subject.terms.kl, torch.zeros_like(subject.terms.kl), {})
    parts, chained = [], isinstance(subject.q, Chain)
    blocks: dict[str, list[Tensor]] = {}
    with seeded(subject.seed, "kl"), torch.no_grad():
        for h, some in zip(subject.h.split(512), subject.items.split(512), strict=True):
            q, p = subject.model.posterior(h), subject.prior(some)
            drawn = draw(q, p, _nothing, KL_DRAWS, stratified=False)
            if chained:
                for block, rate in drawn.rates.items():
                    blocks.setdefault(block, []).append(rate.double().mean(0))
            ratios = (drawn.rate if chained else drawn.log_qz - drawn.log_pz).double()
            parts.append((ratios.mean(0), ratios.var(0) / KL_DRAWS))
    values, errors = (torch.cat(each) for each in zip(*parts, strict=True))
    return _Rate(values, errors, {block: torch.cat(rates) for block, rates in blocks.items()})


def _nothing(z: Tensor) -> Tensor:
    return z.new_zeros(z.shape[:-1])


class _Moments(NamedTuple):
    """Means of q, their squared errors, and variances, each (N, D)."""

    means: Tensor
    errors: Tensor
    variances: Tensor


def _moments(subject: Subject) -> _Moments:
    """The moments of all posteriors, from draws where q does not tell them."""
    draws = 256 if len(subject.h) <= 1000 else 64
    parts = []
    with seeded(subject.seed, "means"), torch.no_grad():
        for h in subject.h.split(512):
            q = subject.model.posterior(h)
            parts.append((*posterior_means(q, draws), posterior_variances(q, draws)))
    return _Moments(*(torch.cat(each) for each in zip(*parts, strict=True)))


def units(subject: Subject) -> Measurement:
    """The number of dimensions whose posterior mean moves with the image."""
    if not (_factorised(subject) or _euclidean(subject)):
        raise Unavailable("the latent space has no axes whose activity could be counted")
    found = subject.once(_moments)
    count, variances = active_units(found.means, found.errors)
    return Measurement(
        count,
        len(subject.x),
        depends={"threshold": 0.01},
        detail={"variances": variances.tolist()},
    )


def _factorised(subject: Subject) -> bool:
    try:
        univariate(subject.p)
    except NotImplementedError:
        return False
    return True


def _euclidean(subject: Subject) -> bool:
    support: Any = subject.p.support
    return bool(support.check(torch.full_like(subject.p.sample(), 3.0)).all())


def collapse(subject: Subject) -> Measurement:
    """The share of dimensions whose KL is next to nothing for next to all images."""
    factors = kl_per_dimension(subject.q, subject.p)
    if factors is None:
        raise Unavailable(
            "q(z|x) or p(z) is not a product over dimensions with a KL in closed form"
        )
    curve = [10 ** (exponent / 4) for exponent in range(-12, 1)]
    return Measurement(
        collapsed(factors),
        len(factors),
        depends={"epsilon": 0.01, "delta": 0.01},
        detail={"epsilon": curve, "collapsed": [collapsed(factors, each) for each in curve]},
    )


def _one_prior(subject: Subject) -> None:
    if subject.p.batch_shape:
        raise Unavailable("the prior depends on the condition: there is none for q(z) of all")


def _information(subject: Subject) -> aggregate.Information:
    q = _posteriors(subject)
    p = subject.prior(subject.items[:1]) if subject.p.batch_shape else subject.p
    with seeded(subject.seed, "aggregate"):
        found = aggregate.information(q, p, DRAWS)
    if found is None:
        raise Unavailable("q(z|x) has no density at a given z")
    return found


def _posteriors(subject: Subject) -> Any:
    """The posteriors of the first images."""
    if len(subject.h) <= POSTERIORS:
        return subject.q
    with torch.no_grad():
        return subject.model.posterior(subject.h[:POSTERIORS])


def _count(subject: Subject) -> int:
    return min(len(subject.x), POSTERIORS)


def _bracket(half_width: float, subject: Subject) -> str:
    size = f"± {half_width:.2f} nats" if half_width < 1e4 else "without a lower end"
    return f"{size} for {_count(subject)} images"


def mutual_information(subject: Subject) -> Measurement:
    """The part of the rate that tells images apart."""
    found = subject.once(_information)
    warning = None
    if found.saturated:
        warning = (
            f"saturated: a lower bound, at most log N = {math.log(_count(subject)):.2f} nats; its "
            f"bracket is {_bracket(found.half_width, subject)}"
        )
    return Measurement(
        found.mutual_information,
        _count(subject),
        None if found.saturated else found.mutual_information_se,
        {"posteriors": _count(subject)},
        warning=warning,
        detail={"saturated": found.saturated},
    )


def marginal_kl(subject: Subject) -> Measurement:
    """The part of the rate that is q(z)'s distance from the prior."""
    _one_prior(subject)
    found = subject.once(_information)
    if found.saturated:
        raise Unavailable(
            f"its bracket is wide ({_bracket(found.half_width, subject)}), as the information is "
            "saturated: see marginal_kl_dimensions and marginal_kl_moment"
        )
    return Measurement(
        found.marginal_kl,
        _count(subject),
        found.marginal_kl_se,
        {"posteriors": _count(subject)},
        detail={"half_width": found.half_width},
    )


def marginal_kl_dimensions(subject: Subject) -> Measurement:
    """The distances of q(z)'s margins from the prior's, added up."""
    _one_prior(subject)
    q = _posteriors(subject)
    with seeded(subject.seed, "aggregate"):
        found = aggregate.marginal_kl_per_dimension(q, subject.p, DRAWS)
    if found is None:
        raise Unavailable("q(z|x) or p(z) is not known to be a product over dimensions")
    if not found.half_width <= aggregate.WIDE:
        raise Unavailable(f"its bracket is wide ({_bracket(found.half_width, subject)})")
    return Measurement(
        found.values.sum().item(),
        _count(subject),
        found.error,
        {"posteriors": _count(subject)},
        detail={
            "per_dimension": found.values.tolist(),
            "per_dimension_se": found.errors.tolist(),
            "half_width": found.half_width,
        },
    )


def marginal_kl_moment(subject: Subject) -> Measurement:
    """The distance of a Gaussian with q(z)'s moments from the prior."""
    _one_prior(subject)
    with seeded(subject.seed, "aggregate"):
        found = aggregate.moment_kl(_posteriors(subject), subject.p)
    if found is None:
        raise Unavailable("the prior is not a diagonal Gaussian")
    if not math.isfinite(found.value):
        raise Unavailable("q(z) has a covariance without full rank")
    return Measurement(found.value, _count(subject), found.se, detail={"bias": found.bias})


def variance(subject: Subject) -> Measurement:
    """The mean variance of z under q(z|x), which vanishes where codes become points."""
    found = subject.once(_moments).variances
    detail: dict[str, Any] = {
        **quantiles(found),
        "below_1e-4": (found < 1e-4).double().mean().item(),
        "per_dimension": found.mean(0).tolist(),
    }
    if (parts := _parts(subject)) is not None:
        detail |= {"kl_of_means": parts[0], "kl_of_variances": parts[1]}
    return Measurement.mean(found.mean(1), detail=detail)


def _parts(subject: Subject) -> tuple[float, float] | None:
    """Mean KL to N(0, I) of the means and of the variances of Gaussian posteriors, in nats."""
    q, p = subject.q, subject.p
    gaussian = all(isinstance(d, Independent) and isinstance(d.base_dist, Normal) for d in (q, p))
    if not gaussian:
        return None
    ratio = q.variance / p.variance
    means = ((q.mean - p.mean).square() / p.variance).sum(1) / 2
    variances = (ratio - 1 - ratio.log()).sum(1) / 2
    return means.mean().item(), variances.mean().item()


def concentration(subject: Subject) -> Measurement:
    """The mean concentration of posteriors on a sphere."""
    found: Any = getattr(subject.q, "concentration", None)
    if not isinstance(found, Tensor):
        raise Unavailable("q(z|x) is not a distribution on a sphere with a concentration")
    detail: dict[str, Any] = quantiles(found)
    try:
        detail["resultant_length"] = subject.q.mean.norm(dim=-1).mean().item()
    except NotImplementedError:
        pass
    return Measurement.mean(found.reshape(len(found), -1).mean(1), detail=detail)


METRICS = (
    Metric(
        name="kl",
        group="kl",
        title="KL (rate)",
        unit="nats/image",
        description="KL(q(z|x) || p(z)), in closed form where there is one, else by Monte Carlo.",
        needs=ELBO,
        head="KL",
        symbol=r"\mathrm{KL}",
        place=30,
        keep=2,
        role="rate",
        compute=kl,
    ),
    Metric(
        name="active_units",
        group="active_units",
        title="Active units",
        unit="dimensions",
        description="Latent dimensions whose posterior mean has a variance over images above 0.01.",
        head="active",
        place=40,
        keep=1,
        compute=units,
    ),
    Metric(
        name="collapsed",
        group="latents",
        title="Collapsed dimensions",
        unit="share",
        description=(
            "Share of latent dimensions whose KL is below 0.01 nats for at least 99 % of the "
            "images."
        ),
        needs=ELBO,
        compute=collapse,
    ),
    Metric(
        name="mutual_information",
        group="latents",
        title="I_q(x; z)",
        symbol=r"I_q(x; z)",
        unit="nats",
        description=(
            "Mutual information of image and code under q, at most the logarithm of how many "
            "images."
        ),
        needs=DENSITY,
        compute=mutual_information,
    ),
    Metric(
        name="marginal_kl",
        group="latents",
        title="KL(q(z) || p(z))",
        symbol=r"\mathrm{KL}(q(z)\,\|\,p(z))",
        unit="nats",
        better="lower",
        description="Distance of the aggregate posterior from the prior: what prior samples miss.",
        needs=ELBO,
        compute=marginal_kl,
    ),
    Metric(
        name="marginal_kl_dimensions",
        group="latents",
        title="Sum of KL(q(z_d) || p(z_d))",
        symbol=r"\sum_d \mathrm{KL}(q(z_d)\,\|\,p(z_d))",
        unit="nats",
        better="lower",
        description=(
            "Distance of the aggregate posterior's margins from the prior's, which cannot saturate."
        ),
        needs=ELBO,
        compute=marginal_kl_dimensions,
    ),
    Metric(
        name="marginal_kl_moment",
        group="latents",
        title="Moment KL",
        unit="nats",
        better="lower",
        description=(
            "KL to the prior of the Gaussian with the aggregate posterior's mean and covariance."
        ),
        compute=marginal_kl_moment,
    ),
    Metric(
        name="posterior_variance",
        group="latents",
        title="Posterior variance",
        unit="squared latent units",
        description="Variance of z under q(z|x), averaged over dimensions and images.",
        compute=variance,
    ),
    Metric(
        name="concentration",
        group="latents",
        title="Concentration",
        unit="inverse variance",
        description="Concentration of q(z|x) on the sphere, averaged over images.",
        needs=DENSITY,
        compute=concentration,
    ),
)
