"""All metrics, and how they are chosen by name."""

from collections.abc import Iterable

from vaebench.errors import unknown
from vaebench.evaluation.metrics import (
    features,
    gradients,
    images,
    latents,
    likelihood,
    novelty,
    representations,
)
from vaebench.models.metric import Metric

METRICS: tuple[Metric, ...] = (
    *likelihood.METRICS,
    *latents.METRICS,
    *features.METRICS,
    *images.METRICS,
    *novelty.METRICS,
    *representations.METRICS,
    *gradients.METRICS,
)


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics that names of columns, of groups, ``default`` or ``all`` stand for.

    ``default`` is all of them but the costly ones.
    """
    chosen = set(names)
    known = {m.name for m in METRICS} | {m.group for m in METRICS} | {"all", "default"}
    for name in chosen - known:
        raise unknown("metric", name, known)
    return tuple(
        m
        for m in METRICS
        if chosen & {m.name, m.group, "all"} or ("default" in chosen and not m.costly)
    )
