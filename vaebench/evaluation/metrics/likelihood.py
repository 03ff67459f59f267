"""Columns about the likelihood: log p(x), bounds on it and their terms."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import derive
from vaebench.evaluation.annealing.ais import ais
from vaebench.evaluation.annealing.bdmc import Bracket, bdmc, certified
from vaebench.evaluation.annealing.estimate import Estimate
from vaebench.evaluation.annealing.mixture import mixture
from vaebench.evaluation.functional.importance import importance_curve
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.items import Items
from vaebench.models.metric import ELBO, MODEL, Measurement, Metric, Unavailable

#: Images whose draws are taken together, and pixels that a CPU decodes at a time.
_TOGETHER, PIXELS = 256, 2**18
#: The settings that say what an estimate by AIS is worth.
AIS = ("ais_images", "ais_target", "ais_budget", "ais_steps")
#: Images that a bracket is simulated for at least: the gap of one certifies nothing.
_SIMULATED = 8
#: The share of images that may be left out of a mean that verdicts rest on.
_LEFT_OUT = 0.1


def elbo(subject: Subject) -> Measurement:
    """The evidence lower bound, with its Monte Carlo error."""
    terms = subject.terms
    detail = {"monte_carlo_se": _total(terms.elbo_error)}
    return Measurement.mean(terms.elbo, detail=detail, **subject.depends(draws=terms.draws))


def _total(squares: Tensor) -> float:
    """Standard error of a mean from squared standard errors (N,) of its terms."""
    return math.sqrt(squares.double().sum().item()) / len(squares)


def distortion(subject: Subject) -> Measurement:
    """The expected negative log-likelihood of a draw from q."""
    return Measurement.mean(-subject.terms.log_px, **subject.depends(draws=subject.terms.draws))


def importance_weighted(subject: Subject) -> Measurement:
    """The K-sample bound, computed once for all columns that need it."""
    return subject.once(importance_bounds)


def importance_bounds(subject: Subject) -> Measurement:
    """The K-sample bound of the first images, with its curve over smaller K."""
    curves = [
        importance_curve(
            partial(subject.model.log_likelihood, x=some),
            subject.prior(some),
            subject.model.encode(some),
            samples=subject.iw_samples,
            chunk=max(1, _rows(subject) // len(some)),
            seed=derive(subject.seed, "bound", part),
        )
        for part, some in enumerate(subject.items[: subject.iw_images].split(_TOGETHER))
    ]
    bounds = torch.cat([curve.bound for curve in curves], 1).cpu()
    n = bounds.shape[1]
    se = (bounds.std(1) / math.sqrt(n)).tolist() if n > 1 else [None] * len(bounds)
    detail = {"curve": {"k": list(curves[0].k), "bound": bounds.mean(1).tolist(), "se": se}}
    return Measurement.mean(bounds[-1], detail=detail, **subject.depends(K=subject.iw_samples))


def _rows(subject: Subject) -> int:
    """Images decoded at a time: on a CPU no more than its caches hold."""
    if subject.device.type != "cpu":
        return subject.rows
    outputs = subject.model.likelihood.outputs * math.prod(subject.images.shape)
    return min(subject.rows, max(64, PIXELS // outputs))


def warning(found: Mapping[str, Measurement]) -> str | None:
    """What estimates, each under the words that say of what it is, warn of."""
    texts = [f"{of}, {one.warning}" for of, one in found.items() if one.warning]
    return " ".join(texts) or None


def annealed(subject: Subject) -> Measurement:
    """The AIS estimate, computed once for all columns that need it."""
    return subject.once(ais_estimate)


class _Meter:
    """Tells once a second how many decoder passes annealing has spent on each image."""

    def __init__(self, subject: Subject, images: int) -> None:
        self.subject, self.images = subject, images
        self.spent, self.last = 0, time.monotonic()

    def add(self, passes: int) -> None:
        self.spent += passes
        if time.monotonic() - self.last > 1.0:
            self.last, budget = time.monotonic(), self.subject.ais_budget
            self.subject.tell("annealing", min(self.spent // self.images, budget), budget)


class _LogLikelihood:
    """log p(x|z) (K, B) of z (K, B, D) for given images, which can be taken apart."""

    def __init__(self, subject: Subject, items: Items, meter: _Meter | None = None) -> None:
        self.subject = subject
        self.items = items
        self.meter = meter or _Meter(subject, len(items))

    def __call__(self, z: Tensor) -> Tensor:
        # A compiled step counts nothing.
        if not self.subject.ais_compile:
            self.meter.add(z.shape[:-1].numel())
        return self.subject.model.log_likelihood(z, self.items)

    def subset(self, images: Tensor) -> "_LogLikelihood":
        some = self.items[images.to(self.items.x.device)]
        return _LogLikelihood(self.subject, some, self.meter)


def _proposal(subject: Subject, items: Items) -> Distribution | None:
    """q(z|x), where it has a density to trust."""
    return None if "density" in subject.variant.deviations else subject.model.encode(items)


def _effort(subject: Subject) -> dict[str, Any]:
    return {
        "steps": subject.ais_steps,
        "budget": subject.ais_budget,
        "compile": subject.ais_compile,
    }


def _bracket(subject: Subject) -> tuple[float | None, Bracket]:
    """The sampler's target, and the bracket on simulated images that it closes to."""

    batch = max(_SIMULATED, min(subject.ais_images, len(subject.x)))
    under = subject.items[torch.arange(batch, device=subject.device) % len(subject.x)]

    def simulate(z: Tensor) -> Any:
        items = Items(subject.model.simulated(z, under), under.seen)
        model, q = _LogLikelihood(subject, items), _proposal(subject, items)
        return model if q is None else (model, q)

    p = subject.prior(under)
    seed = derive(subject.seed, "bdmc")
    wish = _effort(subject)
    try:
        if subject.ais_target is None:
            return None, bdmc(simulate, p, batch=batch, seed=seed, **wish)
        target = subject.ais_target
        return certified(simulate, p, batch=batch, target=target, seed=seed, **wish)
    except ValueError as error:
        raise Unavailable(str(error)) from error


def bdmc_estimate(subject: Subject) -> Measurement:
    """The mean gap of the bracket, on images simulated from the model."""
    _, found = subject.once(_bracket)
    cost = found.lower.evaluations.double().mean().item()
    depends = subject.depends(chains=len(found.lower.log_weights), evaluations=round(cost))
    return Measurement(
        found.mean_gap,
        len(found.gap),
        found.mean_gap_se,
        depends | {"images": "simulated from the model"},
        warning=_missed(subject, found, found.lower),
    )


def _missed(subject: Subject, bracket: Bracket | None, found: Estimate) -> str | None:
    """That the gap, or the errors of an estimate, are above the target or unknown; else None."""
    target = subject.ais_target
    if target is None:
        return None
    error = found.se.square().mean().sqrt().item()
    parts = {"the sampler's error of an image": error}
    if bracket is not None:
        parts = {"the BDMC gap": bracket.mean_gap, **parts}
    above = [f"{name} is {value:.3g}" for name, value in parts.items() if not value <= target]
    if not above:
        return None
    steps, budget = subject.ais_steps, subject.ais_budget
    effort = f"{budget} gradients an image" if steps is None else f"{steps} steps"
    remedy = "--ais-budget" if steps is None else "--ais-steps"
    return (
        f"The target of {target:g} nats is missed with {effort}: {' and '.join(above)} nats; "
        f"ask for a larger {remedy} or --ais-target."
    )


def ais_estimate(subject: Subject) -> Measurement:
    """The mean over the images that can be trusted, with the sampler's own error and cost.

    The values of the others are NaN, and their number is told: they do not enter the mean.

    Raises:
        Unavailable: No image can be trusted, or annealing does not apply.
    """
    x = subject.items[: subject.ais_images]
    wish = _effort(subject)
    bracket: dict[str, Any] = {}
    simulated = None
    if subject.ais_target is not None and mixture(subject.prior(x)) is not None:
        wish["target"] = subject.ais_target
    elif subject.ais_target is not None:
        aim, simulated = subject.once(_bracket)
        wish["target"] = aim
        bracket["bdmc_gap"] = round(simulated.mean_gap, 4)
        bracket["bdmc_gap_se"] = round(simulated.mean_gap_se, 4)
    with torch.no_grad():
        proposal = _proposal(subject, x)
    try:
        found = ais(
            _LogLikelihood(subject, x),
            subject.prior(x),
            batch=len(x),
            proposal=proposal,
            seed=derive(subject.seed, "ais"),
            **wish,
        )
    except ValueError as error:
        raise Unavailable(str(error)) from error
    values = found.log_likelihood.where(found.trusted, torch.nan)
    warnings = list(found.warnings)
    if missed := _missed(subject, simulated, found):
        warnings.append(missed)
    if not found.trusted.any():
        raise Unavailable(" ".join(warnings))
    if left_out := int((~found.trusted).sum()):
        bracket["left_out"] = left_out
        warnings.append(f"The mean is over the other {len(x) - left_out} images.")
    found = found.take(found.trusted.nonzero()[:, 0])
    n = len(found.se)
    depends = subject.depends(
        chains=len(found.log_weights),
        steps=round(found.steps.double().mean().item()),
        evaluations=round(found.evaluations.double().mean().item()),
        acceptance=round(found.acceptance.mean().item(), 3),
        ess=round(found.ess.mean().item(), 2),
        sampler_se=round(found.mean_se, 4),
        **bracket,
    )
    kept = found.log_likelihood
    return Measurement(
        kept.mean().item(),
        n,
        kept.std().item() / math.sqrt(n) if n > 1 else None,
        depends,
        values,
        " ".join(warnings) or None,
        trusted=left_out <= _LEFT_OUT * len(x),
    )


def _bits(estimate: Callable[[Subject], Measurement]) -> Callable[[Subject], Measurement]:
    def bits(subject: Subject) -> Measurement:
        if subject.model.likelihood.takes != "levels":
            raise Unavailable("pixels are not observed as exact levels")
        found = estimate(subject)
        unit = -1 / (math.log(2) * subject.x[0].numel())
        values = None if found.per_image is None else unit * found.per_image
        se = None if found.se is None else -unit * found.se
        return replace(found, value=unit * found.value, se=se, per_image=values, detail={})

    return bits


def _per_dimension(
    name: str, words: str, estimate: Callable[[Subject], Measurement], **more: Any
) -> Metric:
    return Metric(
        name=f"bits_per_dimension_{name}",
        kind="pictures",
        group="bits",
        title=f"Bits a dimension, {words}",
        unit="bits/dimension",
        better="lower",
        description=(
            f"-log₂ p(x) by the number of values of an image, from {words}; of likelihoods of "
            "exact levels."
        ),
        compute=_bits(estimate),
        **more,
    )


METRICS = (
    Metric(
        name="log_likelihood_ais",
        group="ais",
        title="log p(x), AIS",
        unit="nats/image",
        better="higher",
        description=(
            "Log-likelihood by annealed importance sampling: a stochastic lower bound, nearly "
            "tight."
        ),
        needs=MODEL,
        sampled=True,
        head="log p(x), AIS",
        symbol=r"\log p(x)",
        place=10,
        keep=9,
        error=True,
        role="likelihood",
        effort=AIS,
        compute=annealed,
    ),
    Metric(
        name="bdmc_gap",
        group="bdmc",
        title="BDMC gap",
        unit="nats/image",
        better="lower",
        description=(
            "Upper minus lower stochastic bound on log p(x) of images simulated from the model."
        ),
        needs=MODEL,
        effort=AIS,
        compute=bdmc_estimate,
        costly=True,
    ),
    Metric(
        name="iwae_{k}",
        group="iwae",
        title="L_K",
        unit="nats/image",
        better="higher",
        description="Importance-weighted bound with K draws from q: a lower bound on log p(x).",
        needs=ELBO,
        symbol=r"\mathcal{L}_{k}",
        role="bound",
        effort=("iw_images",),
        compute=importance_weighted,
    ),
    Metric(
        name="elbo",
        group="elbo",
        title="ELBO",
        unit="nats/image",
        better="higher",
        description="Evidence lower bound, whatever the variant was trained for.",
        needs=ELBO,
        head="ELBO",
        symbol=r"\mathrm{ELBO}",
        place=20,
        keep=8,
        error=True,
        role="elbo",
        compute=elbo,
    ),
    Metric(
        name="distortion",
        group="elbo",
        title="Distortion",
        symbol=r"-\mathrm{E}_q[\log p(x|z)]",
        unit="nats/image",
        better="lower",
        description="-E_q[log p(x|z)]: what is lost in reconstruction.",
        role="distortion",
        compute=distortion,
    ),
    _per_dimension("ais", "AIS", annealed, needs=MODEL, effort=AIS),
    _per_dimension("elbo", "ELBO", elbo, needs=ELBO),
)
