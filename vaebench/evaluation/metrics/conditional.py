"""What the other parts of an item say of one: log p(x_m | x_others), as a difference by AIS."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from vaebench.data.modalities import Modalities
from vaebench.evaluation.metrics.likelihood import AIS, annealed, warning
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import MODEL, Measurement, Metric, Unavailable


def conditional(subject: Subject) -> Measurement:
    """log p(x_m | x_others) = log p(x) - log p(x_others), the mean over the parts m of an item.

    Each part is a column of its own too.

    Raises:
        Unavailable: Items have no parts, or one alone.
    """
    names = _parts(subject)
    whole = annealed(subject)
    rest = {name: annealed(without(subject, name)) for name in names}
    found = {name: _less(whole, other) for name, other in rest.items()}
    gaps = [gap for part in found.values() if (gap := part.per_image) is not None]
    # Of log p(x), which all differences share, the error does not become smaller in their mean.
    noise = math.hypot(*(_noise(other) / len(names) for other in rest.values()), _noise(whole))
    others = {f"Without {name}": other for name, other in rest.items()}
    return replace(
        _mean(torch.stack(gaps).mean(0)),
        depends=whole.depends | {"sampler_se": round(noise, 4)},
        warning=warning({"Of whole items": whole, **others}),
        trusted=whole.trusted and all(other.trusted for other in rest.values()),
        parts=found,
    )


def _parts(subject: Subject) -> tuple[str, ...]:
    if not isinstance(subject.images, Modalities):
        raise Unavailable(f"it is of several parts, and the data set holds {subject.images.noun}s")
    names = subject.images.layout.names
    if len(names) < 2:
        raise Unavailable("items of one part have no other")
    return names


def without(subject: Subject, name: str) -> Subject:
    """The same model and test items as they were observed, but for one part of these."""
    names = _parts(subject)
    others = [number for number, part in enumerate(names) if part != name]
    found = replace(subject, model=subject.model.of_parts(others).eval())
    found.__dict__["items"] = subject.items
    return found


def _less(whole: Measurement, other: Measurement) -> Measurement:
    """The difference of two estimates of the same items."""
    assert whole.per_image is not None and other.per_image is not None
    gap = whole.per_image.double().cpu() - other.per_image.double().cpu()
    noise = math.hypot(_noise(whole), _noise(other))
    return replace(
        _mean(gap),
        depends=whole.depends | {"sampler_se": round(noise, 4)},
        warning=warning({"Of whole items": whole, "Without the part": other}),
        trusted=whole.trusted and other.trusted,
    )


def _noise(found: Measurement) -> float:
    """What the sampler does not know of a mean."""
    noise: float = found.depends["sampler_se"]
    return noise


def _mean(values: Tensor) -> Measurement:
    """The mean of those values (N,) that there are, NaN standing for the others."""
    kept = values[values.isfinite()]
    if not len(kept):
        raise Unavailable("no item can be trusted with and without its parts")
    return replace(Measurement.mean(kept), per_image=values)


METRICS = (
    Metric(
        name="conditional_ais",
        kind="modalities",
        group="conditional",
        title="log p(x_m | x_others), AIS",
        unit="nats/part",
        better="higher",
        description=(
            "Of a part given all other parts of its item, the mean over the parts: log p of the "
            "item less that of the others, both by annealed importance sampling."
        ),
        needs=MODEL,
        head="log p(x_m | others)",
        place=13,
        keep=8,
        error=True,
        effort=AIS,
        compute=conditional,
    ),
)
