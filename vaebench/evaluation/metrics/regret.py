"""How far a model is from a source that knows its own probabilities."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaebench.evaluation.metrics.likelihood import AIS, annealed, importance_weighted
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable

#: What is estimated of the test items, with log p(x), or a bound on it, of each.
Estimate = Callable[[Subject], Measurement]


def each(subject: Subject, estimate: Estimate) -> tuple[Measurement, Tensor, Tensor]:
    """An estimate, its values (N,) that there are, and which test items these are of."""
    found = estimate(subject)
    assert found.per_image is not None
    values = found.per_image.double().cpu()
    rows = values.isfinite().nonzero()[:, 0]
    return found, values[rows], rows


def _best(subject: Subject) -> Measurement:
    """log p(x) by AIS where it can be had, else the importance-weighted bound."""
    try:
        return annealed(subject)
    except Unavailable:
        if "density" in subject.variant.deviations:
            raise
        return importance_weighted(subject)


def regret(subject: Subject) -> Measurement:
    """The mean of log p(x) of the source less the model's, over the same test items.

    Raises:
        Unavailable: The source does not know its probabilities.
    """
    log_prob = getattr(subject.images, "log_prob", None)
    if log_prob is None:
        raise Unavailable("nobody knows the probabilities of its source")
    stored = subject.images.test.stored
    found, values, rows = each(subject, _best)
    exact = log_prob(stored[rows]).double()
    gap = torch.full((int(rows.max()) + 1,), math.nan, dtype=torch.double)
    gap[rows] = exact - values
    kept = gap[rows]
    n = len(kept)
    se = kept.std().item() / math.sqrt(n) if n > 1 else None
    source = -log_prob(stored).double()
    detail = {"source_nats": source.mean().item(), "source_nats_these": -exact.mean().item()}
    depends = {**found.depends, "estimate": "AIS" if "chains" in found.depends else "L_K"}
    return Measurement(
        kept.mean().item(), n, se, depends, gap, found.warning, detail, found.trusted
    )


METRICS = (
    Metric(
        name="regret",
        kind=("tokens", "sets", "modalities"),
        group="regret",
        title="Regret",
        unit="nats/image",
        better="lower",
        description=(
            "log p(x) of the exact source less the model's (by AIS, else L_K), of the same test "
            "items: 0 for a model that is the source, and negative by chance alone."
        ),
        needs=MODEL,
        head="regret",
        place=12,
        keep=8,
        error=True,
        effort=AIS,
        compute=regret,
    ),
)
