"""Columns about what inference costs: how far bounds are below log p(x), and why."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.evaluation.functional.refine import ARRIVED, Bounds, refine, refine_features
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


def _refined(subject: Subject) -> tuple[Bounds, dict[str, Any]]:
    """The bounds of the encoder's q and of the best one, and how that was searched for."""
    x = subject.items[: subject.ais_images]
    p, model = subject.prior(x), subject.model
    how: dict[str, Any] = {"steps": 200}

    def log_likelihood(z: Tensor) -> Tensor:
        return model.log_likelihood(z, x)

    with seeded(subject.seed, "refine"):
        found = refine(model.encode(x), p, log_likelihood)
    if found is None:
        how = {"steps": 400, "searched": "features of q"}
        with torch.no_grad():
            h = model.features(x)
        with seeded(subject.seed, "refine"):
            found = refine_features(model.posterior, h, p, log_likelihood, steps=how["steps"])
    if found is None:
        raise Unavailable("q has no differentiable draws, so that its best member is not known")
    moving = int((found.gain >= ARRIVED).sum())
    if moving > STRAGGLERS * len(x):
        raise Unavailable(
            f"the best q is not found yet: the last round of the search gained {ARRIVED} nats or "
            f"more on {moving} of {len(x)} images, {found.gain.max().item():.2f} on one"
        )
    return found, how


def approximation_gap(subject: Subject) -> Measurement:
    """How far the ELBO of the best q of its family is below the AIS estimate."""
    found, how = subject.once(_refined)
    best = found.best.double().cpu()
    measured = _gap(annealed(subject), best)
    searched = {name: value for name, value in how.items() if name == "searched"}
    return replace(measured, depends=measured.depends | searched)


def amortisation_gap(subject: Subject) -> Measurement:
    """How far the encoder's q is below the best one of its family."""
    found, how = subject.once(_refined)
    gaps = (found.best - found.encoder).double()
    return Measurement.mean(gaps, None, quantiles(gaps), **subject.depends(**how))


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
