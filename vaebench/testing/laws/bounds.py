"""Laws of bounds: no expected training value exceeds log p(x), where that is known."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily, MultivariateNormal, Normal
from torch.optim import Adam

from vaebench.models.posterior import Posterior, knows_parts
from vaebench.models.variant import Variant
from vaebench.testing.probes import neighbour
from vaebench.testing.report import Report, check
from vaebench.testing.statistics import Array, mean_at_most
from vaebench.testing.subjects import (
    DoesNotApply,
    LinearGaussian,
    build,
    exact,
    features,
    held_densities,
    need_density,
    one_small,
    small,
    table,
    total,
)

REPLICATES = 64


def _believed(posterior: Posterior, h: Tensor, other: Tensor) -> Callable[[Tensor], Tensor]:
    """The log-likelihood with the even mixture of two q as posterior; log p(x) is 0 nats."""

    def log_likelihood(z: Tensor) -> Tensor:
        one, two = (exact(posterior, rows).log_prob(z) for rows in (h, other))
        return torch.logaddexp(one, two) - math.log(2) - posterior.prior().log_prob(z)

    return log_likelihood


@check(
    "The value does not follow kl_weight, by which training warms the KL up: use draw.log_w and "
    "draw.kl, or weight log p(z) - log q(z|x) by draw.kl_weight where you write them out.",
)
def kl_weight(variant: Variant, report: Report) -> None:
    """Where log p(x|z) makes up for half of the KL, half of its weight leaves half of the value.

    With log p(x|z) = β (log q(z|x) - log p(z)) and a KL weight of β, an ELBO is 0 in expectation
    and so is every K-sample bound; what is not a bound, or a loose one, is nearer to 0 at β = 1/2
    than at 1.
    """
    for size in small(variant, 3):
        posterior = build(variant, size)
        need_density(posterior)
        with torch.no_grad():
            h = features(1)
            half, whole = (_warm(variant, posterior, h, weight) for weight in (0.5, 1.0))
        if not np.isfinite([half, whole]).all():
            raise DoesNotApply("draws of q lie where log q or log p is not finite")
        sign = 1.0 if whole.mean() < 0 else -1.0
        line = f"D={size}: value {half.mean():+.4f} nats at 0.5, {whole.mean():+.4f} at 1"
        report.statistical(mean_at_most(sign * half), f"{line}, not beyond 0")
        report.statistical(mean_at_most(sign * (whole - half)), f"{line}, not beyond that at 1")


def _warm(variant: Variant, posterior: Posterior, h: Tensor, weight: float) -> Array:
    """Replicates (R,) of the objective at features (1, F) with this KL weight."""

    def log_likelihood(z: Tensor) -> Tensor:
        return weight * (exact(posterior, h).log_prob(z) - posterior.prior().log_prob(z))

    many = h.expand(REPLICATES * 64, -1)
    draw = table(variant, posterior, many, log_likelihood, kl_weight=weight)
    return variant.objective(draw).reshape(REPLICATES, -1).mean(1).numpy()


def _values(variant: Variant, posterior: Posterior, pair: Tensor, samples: int) -> Array:
    """Replicates (R,) of the objective at features pair[0]; the truth mixes q at both."""
    h, other = (row.expand(REPLICATES * 64, -1) for row in pair)
    value = variant.objective(table(variant, posterior, h, _believed(posterior, h, other), samples))
    return value.reshape(REPLICATES, -1).mean(1).numpy()


@check(
    "The expected value exceeds log p(x): look at the weight and sign of the KL, at log K, and at "
    "Σ w log w reported for log Σ w. Declare the law 'bound' if it is not meant as one.",
    law="bound",
)
def evidence(variant: Variant, report: Report) -> None:
    """On models whose evidence is 0 nats by construction, the expected value is at most 0."""
    for size in small(variant):
        posterior = build(variant, size)
        need_density(posterior)
        with torch.no_grad():
            for scale in (0.3, 2.0):
                h = features(1, scale)[0]
                near = neighbour(posterior, h, 0.5)
                for name, truth in {"exact": h, "near": near}.items():
                    if truth is not None:
                        value = _values(
                            variant, posterior, torch.stack([h, truth]), variant.samples
                        )
                        report.statistical(
                            mean_at_most(value),
                            f"D={size}, h of scale {scale:g}, posterior {name}: "
                            f"value {value.mean():+.4f} nats, evidence 0",
                        )


def _all_count(variant: Variant) -> tuple[bool, str]:
    """Whether the value feels log p(x|z) of every draw, in words."""
    size = one_small(variant)
    posterior, h, model = build(variant, size), features(4), LinearGaussian.random(4, size)
    draw = table(variant, posterior, h, model)
    value = variant.objective(draw)
    unused = []
    for k in range(len(draw.z)):
        model.bonus = torch.zeros_like(draw.log_px)
        model.bonus[k] = 20.0
        raised = draw._replace(log_px=model(draw.z), fixed=held_densities(posterior, h, model))
        if variant.objective(raised).equal(value):
            unused.append(k)
    return not unused, f"draws without influence on the value: {unused or 'none'}"


@check(
    "More draws make the value smaller, or some are not used: the logarithm of K is subtracted "
    "twice, or draws are combined by other than an average of weights or of values.",
    law="bound",
)
def rises(variant: Variant, report: Report) -> None:
    """Every draw counts, and four times as many do not lower the expected value."""
    report.exact(*_all_count(variant))
    for size in small(variant):
        posterior = build(variant, size)
        need_density(posterior)
        with torch.no_grad():
            h = features(1)[0]
            near = neighbour(posterior, h, 0.1)
            if near is None:
                continue
            pair = torch.stack([h, near])
            few = _values(variant, posterior, pair, variant.samples)
            try:
                many = _values(variant, posterior, pair, 4 * variant.samples)
            except ValueError as error:
                raise DoesNotApply(
                    f"the objective takes no other number of draws: {error}"
                ) from None
        loss = np.subtract(few, many, out=np.zeros_like(few), where=few != many)
        report.statistical(
            mean_at_most(loss),
            f"D={size}: {few.mean():+.4f} nats with {variant.samples} draws, "
            f"{many.mean():+.4f} with {4 * variant.samples}",
        )


@check(
    "Trained, the value exceeds log p(x), which no bound does: look at the weight of the KL, at "
    "log K, at the density of the draw's own component. Declare the law 'bound' if it is none.",
    law="bound",
)
def linear_gaussian(variant: Variant, report: Report) -> None:
    """Trained on x ~ N(W z, noise I) the expected value stays at or below the evidence."""
    size, inputs = one_small(variant), 4
    for noise in (0.5, 8.0):
        posterior, h = build(variant, size), features(inputs).requires_grad_()
        model = LinearGaussian.random(inputs, size, noise=noise)
        _train(variant, posterior, h, model)
        with torch.no_grad():
            evidence, error = log_evidence(posterior, model)
            many = torch.arange(inputs).repeat(REPLICATES * 32)
            value = variant.objective(table(variant, posterior, h[many], model.rows(many)))
            value = value.reshape(REPLICATES, -1, inputs).mean(1)
        for row in range(inputs):
            excess = (value[:, row] - evidence[row]).numpy()
            report.statistical(
                mean_at_most(excess, 5 * error[row].item() + 1e-6),
                f"D={size}, noise {noise:g}: value {value[:, row].mean():.4f}, "
                f"evidence {evidence[row]:.4f} nats",
            )


def _train(
    variant: Variant, posterior: Posterior, h: Tensor, model: LinearGaussian, steps: int = 150
) -> None:
    """Maximise objective less penalties over the features and the posterior's parameters."""
    optimiser = Adam([h, *posterior.parameters()])
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
        draw = table(variant, posterior, h, model)
        loss = -variant.objective(draw).sum()
        for penalty in variant.penalties.values():
            loss = loss + penalty(draw).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def log_evidence(posterior: Posterior, model: LinearGaussian) -> tuple[Tensor, Tensor]:
    """log p(x) (B,) and its standard error: closed form for N(0, I), else from prior draws."""
    prior = posterior.prior()
    base = getattr(prior, "base_dist", None)
    if isinstance(base, Normal):
        value = _marginal(model, base.loc, base.scale).log_prob(model.x)
        return value, torch.zeros_like(value)
    if isinstance(prior, MixtureSameFamily) and isinstance(
        base := getattr(prior.component_distribution, "base_dist", None), Normal
    ):
        each = [
            _marginal(model, loc, scale).log_prob(model.x)
            for loc, scale in zip(base.loc, base.scale, strict=True)
        ]
        log_weights = prior.mixture_distribution.logits.log_softmax(-1)
        value = (torch.stack(each, -1) + log_weights).logsumexp(-1)
        return value, torch.zeros_like(value)
    count = 200_000
    log_p = model(prior.sample(torch.Size((count, 1))))
    top = log_p.max(0).values
    weight = (log_p - top).exp()
    return top + weight.mean(0).log(), weight.std(0) / weight.mean(0) / math.sqrt(count)


def _marginal(model: LinearGaussian, mean: Tensor, scale: Tensor) -> MultivariateNormal:
    """p(x) under z ~ N(mean, diag scale²), (D,) both."""
    covariance = (model.weight * scale.square()) @ model.weight.T
    covariance = covariance + model.noise * torch.eye(len(covariance), dtype=covariance.dtype)
    return MultivariateNormal(model.weight @ mean, covariance)


@check(
    "With log p(x|z) the same everywhere, nothing pulls the posterior to the prior: draws from the "
    "prior then decode to nothing. Declare the law 'likelihood' if that is meant.",
    law="likelihood",
)
def prior_matters(variant: Variant, report: Report) -> None:
    """Objective and penalties feel where q lies even when the likelihood is flat.

    A KL that is the same for all features, as that of a fixed concentration is, is paid and cannot
    be felt: the value is then the same for all features, and half of it at half the KL weight.
    """
    posterior, h = build(variant, one_small(variant)), features(6).requires_grad_()
    if not any(parameter.requires_grad for parameter in posterior.parameters()):
        raise DoesNotApply("the posterior has no parameters that could be pulled")
    if knows_parts(posterior) and not set.intersection(*map(set, posterior.reads or [[0]])):
        raise DoesNotApply("codes of parts may pull each other, which says nothing of the prior")
    whole, half = (_paid(variant, posterior, h, weight) for weight in (1.0, 0.5))
    slope = torch.zeros_like(h)
    if whole.requires_grad:
        (found,) = torch.autograd.grad(whole.sum(), h, allow_unused=True)
        slope = slope if found is None else found
    whole, half = whole.detach(), half.detach()
    price = -whole.mean()
    spread = (whole + price).abs().max() + (half + price / 2).abs().max()
    constant = bool(price > 1e-6) and bool(spread < 1e-6 * (1 + price))
    report.exact(
        bool(slope.abs().max() > 1e-12) or constant,
        f"largest derivative with respect to a feature: {float(slope.abs().max()):.3g} nats; "
        f"mean value {-float(price):.4g} nats",
    )


def _paid(variant: Variant, posterior: Posterior, h: Tensor, kl_weight: float) -> Tensor:
    """What training maximises (B,) where the likelihood is flat."""
    draw = table(variant, posterior, h, lambda z: 0.0 * z.sum(-1), kl_weight=kl_weight)
    return total(variant, draw)
