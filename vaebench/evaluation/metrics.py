"""The metrics: each a function of a Subject, with its unit, its direction and what it needs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaebench.errors import UserError, unknown
from vaebench.evaluation.bounds import importance_bound
from vaebench.evaluation.estimate import Estimate, Unavailable, mean
from vaebench.evaluation.frechet import bootstrap, floor, frechet_distance, moments
from vaebench.evaluation.latents import active_units, kl_per_dimension, posterior_means
from vaebench.evaluation.likelihood import ais_estimate
from vaebench.evaluation.reconstruction import mse
from vaebench.evaluation.sharpness import sharpness
from vaebench.evaluation.subject import DRAWS, Subject
from vaebench.seeds import seeded


#: Feature dimensions up to which a Fréchet distance is given a bootstrap error; it costs 200 more.
MOST_DIMENSIONS = 256


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Attributes:
        name: The column; `{extractor}` and `{k}` stand for what the number depends on.
        group: What `--metrics` also selects it by.
        title: In words.
        unit: Its unit.
        better: "higher", "lower", or None where neither is a merit.
        description: One sentence.
        laws: Deviations (see `vaebench.posterior.LAWS`) that make it meaningless.
        compute: The estimate; Unavailable or UserError where there is none.
    """

    name: str
    group: str
    title: str
    unit: str
    better: str | None
    description: str
    laws: frozenset[str]
    compute: Callable[[Subject], Estimate]

    def column(self, subject: Subject) -> str:
        """The column's name for this subject."""
        return self.name.format(extractor=subject.extractor_name, k=subject.iw_samples)


def _elbo(subject: Subject) -> Estimate:
    return mean(subject.terms.elbo, **subject.depends(draws=DRAWS))


def _distortion(subject: Subject) -> Estimate:
    return mean(-subject.terms.log_px, **subject.depends(draws=DRAWS))


def _kl(subject: Subject) -> Estimate:
    factors = kl_per_dimension(subject.q, subject.p)
    if factors is None:
        return mean(subject.terms.kl, draws=DRAWS)
    return mean(subject.terms.kl, per_dimension=factors.mean(0).tolist())


def _iwae(subject: Subject) -> Estimate:
    def bound(x: Tensor) -> Tensor:
        return importance_bound(
            lambda z: subject.model.log_likelihood(z, x),
            subject.p,
            subject.model.encode(x),
            samples=subject.iw_samples,
            chunk=DRAWS,
        )

    with seeded(subject.seed, "bound"), torch.no_grad():
        values = torch.cat([bound(x) for x in subject.x.split(max(1, subject.chunk // DRAWS))])
    return mean(values, **subject.depends(K=subject.iw_samples))


def _active_units(subject: Subject) -> Estimate:
    if kl_per_dimension(subject.q, subject.p) is None and not _euclidean(subject):
        raise Unavailable("the latent space has no axes whose activity could be counted")
    with seeded(subject.seed, "means"):
        count, variances = active_units(*posterior_means(subject.q))
    return Estimate(
        count, len(subject.x), depends={"threshold": 0.01, "variances": variances.tolist()}
    )


def _euclidean(subject: Subject) -> bool:
    support: Any = subject.p.support
    return bool(support.check(torch.full_like(subject.p.sample(), 3.0)).all())


def _fid(subject: Subject, images: Tensor) -> Estimate:
    features = subject.extractor(images)
    found = moments(features)
    real = subject.real_moments
    warning = None
    if found.deficient or real.deficient:
        warning = f"fewer images than the {len(real.mean)} feature dimensions: mostly bias"
    try:
        value = frechet_distance(found, real)
    except ValueError as error:
        raise Unavailable(str(error)) from error
    depends = {
        "features": subject.extractor.identity,
        "dimensions": len(real.mean),
        "images": found.n,
        "real": f"{real.n} test images",
        "floor": round(floor(real, found.n, real.n), 4),
    }
    se = None
    if len(real.mean) <= MOST_DIMENSIONS:
        low, high = bootstrap(features, real)
        se = (high - low) / (2 * 1.96)
    return Estimate(value, found.n, se, depends, warning=warning)


def _mse(subject: Subject) -> Estimate:
    return mean(mse(subject.pictures, subject.reconstructions), range="[0, 1]")


def _sharpness(images: Callable[[Subject], Tensor]) -> Callable[[Subject], Estimate]:
    def compute(subject: Subject) -> Estimate:
        found = images(subject)
        return Estimate(
            sharpness(found).double().mean().item(), len(found), depends={"range": "[0, 1]"}
        )

    return compute


_NO_DENSITY = frozenset({"density", "likelihood"})
_NO_ELBO = _NO_DENSITY | {"support"}
_NO_MODEL = frozenset({"likelihood"})
_ANY: frozenset[str] = frozenset()

METRICS = (
    Metric(
        "log_likelihood_ais",
        "ais",
        "log p(x), AIS",
        "nats/image",
        "higher",
        "Log-likelihood by annealed importance sampling: a stochastic lower bound, nearly tight.",
        _NO_MODEL,
        ais_estimate,
    ),
    Metric(
        "iwae_{k}",
        "iwae",
        "L_K",
        "nats/image",
        "higher",
        "Importance-weighted bound with K draws from q: a lower bound on log p(x).",
        _NO_ELBO,
        _iwae,
    ),
    Metric(
        "elbo",
        "elbo",
        "ELBO",
        "nats/image",
        "higher",
        "Evidence lower bound, whatever the variant was trained for.",
        _NO_ELBO,
        _elbo,
    ),
    Metric(
        "kl",
        "kl",
        "KL (rate)",
        "nats/image",
        None,
        "KL(q(z|x) || p(z)), in closed form where there is one, else by Monte Carlo.",
        _NO_ELBO,
        _kl,
    ),
    Metric(
        "distortion",
        "elbo",
        "Distortion",
        "nats/image",
        "lower",
        "-E_q[log p(x|z)]: what is lost in reconstruction.",
        _ANY,
        _distortion,
    ),
    Metric(
        "active_units",
        "active_units",
        "Active units",
        "dimensions",
        None,
        "Latent dimensions whose posterior mean varies over images by more than 0.01.",
        _ANY,
        _active_units,
    ),
    Metric(
        "fid_{extractor}",
        "fid",
        "FID of samples",
        "squared feature distance",
        "lower",
        "Fréchet distance between features of decoded prior draws and of test images.",
        _NO_MODEL,
        lambda subject: _fid(subject, subject.samples),
    ),
    Metric(
        "rec_fid_{extractor}",
        "fid",
        "FID of reconstructions",
        "squared feature distance",
        "lower",
        "Fréchet distance between features of reconstructions and of test images.",
        _ANY,
        lambda subject: _fid(subject, subject.reconstructions[:10_000]),
    ),
    Metric(
        "sharpness",
        "sharpness",
        "Sharpness of samples",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of decoded prior draws; to be held against the real images'.",
        _NO_MODEL,
        _sharpness(lambda subject: subject.samples),
    ),
    Metric(
        "sharpness_rec",
        "sharpness",
        "Sharpness of reconstructions",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of reconstructions.",
        _ANY,
        _sharpness(lambda subject: subject.reconstructions),
    ),
    Metric(
        "sharpness_real",
        "sharpness",
        "Sharpness of real images",
        "variance of Laplacian",
        None,
        "Variance of the Laplacian of the test images.",
        _ANY,
        _sharpness(lambda subject: subject.pictures),
    ),
    Metric(
        "mse",
        "mse",
        "Reconstruction error",
        "squared error/pixel",
        "lower",
        "Mean squared error between test images and decoder means of one draw from q.",
        _ANY,
        _mse,
    ),
)


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics that names of columns, of groups, or ``all`` stand for."""
    chosen = set(names)
    known = {m.name for m in METRICS} | {m.group for m in METRICS} | {"all"}
    for name in chosen - known:
        raise unknown("metric", name, known)
    return tuple(m for m in METRICS if chosen & {m.name, m.group, "all"})


def evaluate(
    subject: Subject,
    metrics: Iterable[Metric],
    timings: dict[str, float],
    report: Callable[[int], None],
) -> dict[str, dict[str, Any]]:
    """Every metric's record, by column: an estimate, or the reason why there is none.

    Args:
        subject: What to evaluate.
        metrics: Which metrics.
        timings: Takes up the seconds spent, by group.
        report: Called before each metric with the number of those done.
    """
    records: dict[str, dict[str, Any]] = {}
    for done, metric in enumerate(metrics):
        report(done)
        clock = time.perf_counter()
        broken = [law for law in subject.variant.deviations if law in metric.laws]
        reason, found = "; ".join(subject.variant.deviations[law] for law in broken), None
        if not broken:
            try:
                found = metric.compute(subject)
            except (Unavailable, UserError) as error:
                reason = str(error)
        records[metric.column(subject)] = {
            "title": metric.title,
            "unit": metric.unit,
            "better": metric.better,
            "description": metric.description,
            "value": found.value if found else None,
            "se": found.se if found else None,
            "n": found.n if found else None,
            "depends": found.depends if found else {},
            "warning": found.warning if found else None,
            "reason": None if found else reason,
            "per_image": found.per_image if found else None,
        }
        spent = time.perf_counter() - clock
        timings[metric.group] = round(timings.get(metric.group, 0.0) + spent, 2)
    return records
