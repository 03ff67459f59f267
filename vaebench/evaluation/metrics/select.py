"""All metrics, how they are chosen by name, and their evaluation on a subject."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from vaebench.errors import UserError, unknown
from vaebench.evaluation.metrics import (
    features,
    gradients,
    images,
    latents,
    likelihood,
    novelty,
    representations,
)
from vaebench.evaluation.metrics.coherence import contradiction
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Metric, Unavailable

METRICS: tuple[Metric, ...] = (
    *likelihood.METRICS,
    *latents.METRICS,
    *features.METRICS,
    *images.METRICS,
    *novelty.METRICS,
    *representations.METRICS,
    *gradients.METRICS,
)
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("value", "se", "n", "warning", "per_image")),
    "depends": {},
    "detail": {},
}


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


def evaluate(
    subject: Subject,
    metrics: Iterable[Metric],
    timings: dict[str, float],
    report: Callable[[int], None],
) -> dict[str, dict[str, Any]]:
    """Every metric's record, by column: an estimate, or the reason why there is none.

    Numbers that rest on log q(z|x) are taken back where they contradict each other.

    Args:
        subject: What to evaluate.
        metrics: Which metrics.
        timings: Takes up the seconds spent, by group.
        report: Called before each metric with the number of those done.
    """
    metrics = tuple(metrics)
    records: dict[str, dict[str, Any]] = {}
    for done, metric in enumerate(metrics):
        report(done)
        clock = time.perf_counter()
        broken = [law for law in subject.variant.deviations if law in metric.needs]
        reason, found = "; ".join(subject.variant.deviations[law] for law in broken), None
        if not broken:
            try:
                found = metric.compute(subject)
            except (Unavailable, UserError) as error:
                reason = str(error)
        records[subject.column(metric)] = {
            "title": metric.title,
            "unit": metric.unit,
            "better": metric.better,
            "description": metric.description,
            "value": found.value if found else None,
            "se": found.se if found else None,
            "n": found.n if found else None,
            "depends": found.depends if found else {},
            "detail": found.detail if found else {},
            "warning": found.warning if found else None,
            "reason": None if found else reason,
            "per_image": found.per_image if found else None,
        }
        spent = time.perf_counter() - clock
        timings[metric.group] = round(timings.get(metric.group, 0.0) + spent, 2)
    resting = [
        m
        for m in metrics
        if "density" in m.needs and records[subject.column(m)]["value"] is not None
    ]
    if resting and (why := contradiction(subject)):
        for metric in resting:
            records[subject.column(metric)] |= _NOTHING | {"reason": why}
    return records
