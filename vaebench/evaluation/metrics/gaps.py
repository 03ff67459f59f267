"""Columns about what inference costs: how far bounds are below log p(x), and why."""

from dataclasses import replace

from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.evaluation.functional.refine import ARRIVED, Bounds, refine
from vaebench.evaluation.functional.summaries import quantiles
from vaebench.evaluation.metrics.likelihood import AIS, annealed
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import ELBO, Measurement, Metric, Unavailable

#: The share of images whose best q may still be on its way, by which means hardly change.
STRAGGLERS = 0.02


def inference_gap(subject: Subject) -> Measurement:
    """How far the ELBO is below the AIS estimate, image by image."""
    ais = annealed(subject)
    assert ais.per_image is not None
    count = len(ais.per_image)
    return _gap(ais, subject.terms.elbo[:count])


def _gap(ais: Measurement, bound: Tensor) -> Measurement:
    """How far a bound (N,) is below the AIS estimate, over the images where that is trusted."""
    assert ais.per_image is not None
    gaps = ais.per_image.double().cpu() - bound.double().cpu()
    known = gaps[~ais.per_image.cpu().isnan()]
    found = Measurement.mean(known, ais.warning, quantiles(known), **ais.depends)
    return replace(found, per_image=gaps)


def _refined(subject: Subject) -> Bounds:
    x = subject.items[: subject.ais_images]
    with seeded(subject.seed, "refine"):
        found = refine(
            subject.model.encode(x),
            subject.prior(x),
            lambda z: subject.model.log_likelihood(z, x),
        )
    if found is None:
        raise Unavailable("q is of no location-scale family, so that no best member is known")
    moving = int((found.gain >= ARRIVED).sum())
    if moving > STRAGGLERS * len(x):
        raise Unavailable(
            f"the best q is not found yet: the last round of the search gained {ARRIVED} nats or "
            f"more on {moving} of {len(x)} images, {found.gain.max().item():.2f} on one"
        )
    return found


def approximation_gap(subject: Subject) -> Measurement:
    """How far the ELBO of the best q of its family is below the AIS estimate."""
    best = subject.once(_refined).best.double().cpu()
    ais = annealed(subject)
    return _gap(ais, best)


def amortisation_gap(subject: Subject) -> Measurement:
    """How far the encoder's q is below the best one of its family."""
    found = subject.once(_refined)
    gaps = (found.best - found.encoder).double()
    return Measurement.mean(gaps, None, quantiles(gaps), **subject.depends(steps=200))


METRICS = (
    Metric(
        name="inference_gap",
        group="gaps",
        title="Inference gap",
        unit="nats/image",
        better="lower",
        description="log p(x) by AIS minus the ELBO: what the encoder's q costs.",
        needs=ELBO,
        effort=AIS,
        compute=inference_gap,
    ),
    Metric(
        name="approximation_gap",
        group="gaps",
        title="Approximation gap",
        unit="nats/image",
        better="lower",
        description=(
            "log p(x) by AIS minus the ELBO of the best q of its family: what the family costs."
        ),
        needs=ELBO,
        effort=AIS,
        compute=approximation_gap,
        costly=True,
    ),
    Metric(
        name="amortisation_gap",
        group="gaps",
        title="Amortisation gap",
        unit="nats/image",
        better="lower",
        description=(
            "ELBO of the best q of its family minus that of the encoder's: what amortisation costs."
        ),
        needs=ELBO,
        effort=("ais_images",),
        compute=amortisation_gap,
        costly=True,
    ),
)
