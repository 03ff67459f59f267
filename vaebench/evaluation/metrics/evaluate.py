"""Metrics on a subject: each a record of a number, or of the reason why there is none."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from torch import Tensor

from vaebench.errors import UserError
from vaebench.evaluation.metrics.coherence import contradiction
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement, Metric, Unavailable
from vaebench.runs.schema import Detail, MetricRecord


class Evaluated(NamedTuple):
    """What was found, by column.

    Attributes:
        records: The record of every metric.
        per_image: Values (N,) of the first N test images, of the metrics that are means of them.
    """

    records: dict[str, MetricRecord]
    per_image: dict[str, Tensor]


def evaluate(
    subject: Subject,
    metrics: Iterable[Metric],
    timings: dict[str, float],
    report: Callable[[int], None],
) -> Evaluated:
    """Measure; numbers that rest on log q(z|x) are taken back where they contradict each other.

    Args:
        subject: What to evaluate.
        metrics: Which metrics.
        timings: Takes up the seconds spent, by group.
        report: Called before each metric with the number of those done.
    """
    found: dict[Metric, Measurement | str] = {}
    for done, metric in enumerate(metrics):
        report(done)
        clock = time.perf_counter()
        found[metric] = _measured(subject, metric)
        spent = time.perf_counter() - clock
        timings[metric.group] = round(timings.get(metric.group, 0.0) + spent, 2)
    resting = [m for m, one in found.items() if "density" in m.needs and not isinstance(one, str)]
    if resting and (why := contradiction(subject)):
        found |= dict.fromkeys(resting, why)
    return Evaluated(
        {subject.column(metric): _record(subject, metric, one) for metric, one in found.items()},
        {
            subject.column(metric): one.per_image
            for metric, one in found.items()
            if not isinstance(one, str) and one.per_image is not None
        },
    )


def _measured(subject: Subject, metric: Metric) -> Measurement | str:
    """The measurement, or the reason why there is none."""
    deviations = subject.variant.deviations
    if broken := [law for law in deviations if law in metric.needs]:
        return "; ".join(deviations[law] for law in broken)
    try:
        return metric.compute(subject)
    except (Unavailable, UserError) as error:
        return str(error)


def _record(subject: Subject, metric: Metric, found: Measurement | str) -> MetricRecord:
    """What a metric declares, with its measurement or the reason why there is none."""
    one = None if isinstance(found, str) else found
    return {
        "metric": metric.name,
        "extractor": subject.extractor_name if metric.takes("extractor") else "",
        "k": subject.iw_samples if metric.takes("k") else None,
        "title": metric.title,
        "unit": metric.unit,
        "better": metric.better,
        "description": metric.description,
        "head": metric.head,
        "place": metric.place,
        "keep": metric.keep,
        "error": metric.error,
        "role": metric.role,
        "reference": metric.reference.format(extractor=subject.extractor_name),
        "value": one.value if one else None,
        "se": one.se if one else None,
        "n": one.n if one else None,
        "depends": one.depends if one else {},
        "detail": cast(Detail, one.detail) if one else {},
        "warning": one.warning if one else None,
        "reason": found if isinstance(found, str) else None,
        "trusted": one is None or one.trusted,
    }
