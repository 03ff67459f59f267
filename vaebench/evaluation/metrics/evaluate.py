"""Metrics on a subject: each a record of a number, or of the reason why there is none."""

import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, cast

from torch import Tensor

from vaebench.errors import UserError
from vaebench.evaluation.metrics.coherence import contradiction
from vaebench.evaluation.metrics.likelihood import ais_estimate
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement, Metric, Unavailable
from vaebench.registry.loading import reason
from vaebench.runs.schema import Detail, MetricRecord

#: Names of parts that can be in the name of a column.
_PART = re.compile(r"[\w.+-]{1,40}", re.ASCII)


class Evaluated(NamedTuple):
    """What was found, by column.

    Attributes:
        records: The record of every metric.
        per_image: Values (N,) of the first N test images, of the metrics that are means of them.
    """

    records: dict[str, MetricRecord]
    per_image: dict[str, Tensor]


class _Lack(NamedTuple):
    """Why there is no number, and whether another try may find one."""

    reason: str
    failed: bool = False


def evaluate(
    subject: Subject,
    metrics: Iterable[Metric],
    timings: dict[str, float],
    report: Callable[[int], None],
) -> Evaluated:
    """All that `steps` finds."""
    found = Evaluated({}, {})
    for step in steps(subject, metrics, timings, report):
        for column, record in step.records.items():
            found.records[column] = record
            found.per_image.pop(column, None)
        found.per_image.update(step.per_image)
    return found


def steps(
    subject: Subject,
    metrics: Iterable[Metric],
    timings: dict[str, float],
    report: Callable[[int], None],
    resting: Mapping[str, MetricRecord] = MappingProxyType({}),
) -> Iterator[Evaluated]:
    """Measure; numbers that rest on log q(z|x) are taken back where they contradict each other.

    Args:
        subject: What to evaluate.
        metrics: Which metrics.
        timings: Takes up the seconds spent, by group.
        report: Called before each metric with the number of those done.
        resting: Numbers from before that rest on log q(z|x), by column.

    Yields:
        What each metric changes: its own record, and those that it takes back.
    """
    rest = dict(resting)
    for done, metric in enumerate(metrics):
        report(done)
        clock, known = time.perf_counter(), subject.made(ais_estimate)
        one = _measured(subject, metric)
        column, record = subject.column(metric), _record(subject, metric, one)
        parts = {
            f"{column}@{name}": _part(record, name, part)
            for name, part in (one.parts if isinstance(one, Measurement) else {}).items()
            if _PART.fullmatch(name)
        }
        changed = {column: record, **parts}
        rest.pop(column, None)
        news = subject.made(ais_estimate) is not known
        if "density" in metric.needs and isinstance(one, Measurement):
            rest, news = rest | changed, True
        if news and rest and (why := contradiction(subject)):
            changed |= {name: _taken_back(each, why) for name, each in rest.items()}
            rest.clear()
        spent = time.perf_counter() - clock
        timings[metric.group] = timings.get(metric.group, 0.0) + spent
        values = one.per_image if isinstance(one, Measurement) else None
        kept = values is not None and changed[column]["value"] is not None
        yield Evaluated(changed, {column: values} if kept and values is not None else {})


def _measured(subject: Subject, metric: Metric) -> Measurement | _Lack:
    """The measurement, or the reason why there is none: a metric costs its own number alone."""
    deviations = subject.variant.deviations
    if broken := [law for law in deviations if law in metric.needs]:
        return _Lack("; ".join(deviations[law] for law in broken))
    try:
        return metric.compute(subject)
    except Unavailable as error:
        return _Lack(str(error))
    except UserError as error:
        return _Lack(str(error), True)
    except KeyboardInterrupt:
        raise
    # A plugin's networks take part, which may fail in any way, SystemExit included.
    except BaseException as error:
        traceback.print_exc()
        return _Lack(reason(error), True)


def _part(whole: MetricRecord, name: str, found: Measurement) -> MetricRecord:
    """The record of a part of a number, which plays no role of its own."""
    own: dict[str, object] = {
        "title": f"{whole['title']} of {name}",
        "description": f"The part of {name}. {whole['description']}",
        "value": found.value,
        "se": found.se,
        "n": found.n,
        "detail": {},
        "head": "",
        "symbol": "",
        "place": None,
        "role": None,
        "reference": "",
    }
    return cast(MetricRecord, {**whole, **own})


def _taken_back(record: MetricRecord, why: str) -> MetricRecord:
    """A record whose number means nothing."""
    gone: dict[str, object] = {
        "value": None,
        "se": None,
        "n": None,
        "detail": {},
        "warning": None,
        "reason": why,
        "trusted": True,
    }
    return cast(MetricRecord, {**record, **gone})


def _record(subject: Subject, metric: Metric, found: Measurement | _Lack) -> MetricRecord:
    """What a metric declares, with its measurement or the reason why there is none."""
    one = found if isinstance(found, Measurement) else None
    lack = found if isinstance(found, _Lack) else None
    effort = {name: getattr(subject, name) for name in metric.effort}
    depends = {**effort, "code": metric.code or None}
    return {
        "metric": metric.name,
        "extractor": subject.extractor_name if metric.takes("extractor") else "",
        "k": subject.iw_samples if metric.takes("k") else None,
        "title": metric.title,
        "unit": metric.unit.replace("/image", f"/{subject.images.noun}"),
        "better": metric.better,
        "description": metric.description,
        "head": metric.head,
        "symbol": metric.symbol.replace("{k}", f"{{{subject.iw_samples}}}"),
        "place": metric.place,
        "keep": metric.keep,
        "error": metric.error,
        "role": metric.role,
        "reference": metric.reference.format(extractor=subject.extractor_name),
        "value": one.value if one else None,
        "se": one.se if one else None,
        "n": one.n if one else None,
        "depends": (one.depends if one else {})
        | {name: value for name, value in depends.items() if value is not None},
        "detail": cast(Detail, one.detail) if one else {},
        "warning": one.warning if one else None,
        "reason": lack.reason if lack else None,
        "trusted": one is None or one.trusted,
        "failed": bool(lack and lack.failed),
    }
