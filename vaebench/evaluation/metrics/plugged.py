"""The metrics of plugins: found by name, loaded when asked for, and kept from harming others."""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from vaebench.compute.random import seeded
from vaebench.compute.shared_state import kept
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement, Metric, Unavailable
from vaebench.registry.catalogue import Catalogue, Plugin
from vaebench.registry.contents import Facts

#: Characters that a measurement's details may take as JSON.
_LARGEST = 2**20


@dataclass(frozen=True)
class Plugged:
    """A plugin's metric that has yet to be loaded.

    Attributes:
        name: What its column is called: its own name, or ``package.name`` where that could be
            another's column.
        own: Its own name.
        plugin: The plugin that brings it.
        facts: What it declares, as plain data.
    """

    name: str
    own: str
    plugin: Plugin
    facts: Facts

    @property
    def names(self) -> set[str]:
        """What it is asked for by, a group aside: its column, and ``package:name``."""
        return {self.name, f"{self.plugin.distribution}:{self.own}"}

    @property
    def group(self) -> str:
        """What it is also selected by."""
        return str(self.facts["group"] or self.plugin.name)

    def load(self, found: Catalogue) -> Metric:
        """The metric, its function guarded; UserError where its plugin cannot be loaded."""
        metric: Metric = found.thing("metrics", f"{self.plugin.distribution}:{self.own}")
        compute = guarded(self.name, metric.compute)
        code = self.plugin.code
        return replace(metric, name=self.name, group=self.group, compute=compute, code=code)


def plugged(found: Catalogue, taken: Iterable[str]) -> list[Plugged]:
    """All metrics that plugins bring, sorted by plugin; `taken` are the names of our own."""
    known = list(taken)
    metrics = []
    for plugin in found.plugins.values():
        for own, facts in plugin.facts.get("metrics", {}).items():
            alone = not any(_alike(own, other) for other in known)
            name = own if alone else f"{plugin.distribution}.{own}"
            known.append(name)
            metrics.append(Plugged(name, own, plugin, facts))
    return metrics


def _alike(one: str, other: str) -> bool:
    """Whether two names can stand for the same column."""
    return any(
        re.fullmatch(_pattern(a), b.format(extractor="x", k=1))
        for a, b in ((one, other), (other, one))
    )


def _pattern(name: str) -> str:
    return re.escape(name).replace(r"\{extractor\}", ".+").replace(r"\{k\}", r"\d+")


def guarded(name: str, compute: Callable[[Any], Any]) -> Callable[[Subject], Measurement]:
    """The function with noise of its own, which leaves process and model as they were."""

    def compute_alone(subject: Subject) -> Measurement:
        try:
            with kept(), seeded(subject.seed, f"metric {name}"):
                return _checked(compute(subject), len(subject.x))
        finally:
            subject.model.eval().requires_grad_(False)

    return compute_alone


def _checked(found: Any, images: int) -> Measurement:
    """The measurement as plain data; Unavailable or any other error where it is not one."""
    if not isinstance(found, Measurement):
        raise Unavailable(f"its function returned {found!r:.60}, which is not a Measurement")
    value, se = float(found.value), None if found.se is None else float(found.se)
    if not math.isfinite(value):
        raise Unavailable(f"its value is {value}")
    if se is not None and not (math.isfinite(se) and se >= 0):
        raise Unavailable(f"its standard error is {se}")
    values = None if found.per_image is None else _values(found.per_image, images)
    text = json.dumps([found.depends, found.detail])
    if len(text) > _LARGEST:
        raise Unavailable(f"its details take more than {_LARGEST >> 20} MiB")
    depends, detail = json.loads(text)
    if not (isinstance(depends, dict) and isinstance(detail, dict)):
        raise Unavailable("what it depends on and its details are not dicts")
    warning = None if found.warning is None else str(found.warning)
    return Measurement(value, int(found.n), se, depends, values, warning, detail)


def _values(found: Any, images: int) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 1 or len(found) > images:
        raise Unavailable(
            f"its values of each image are not a tensor (N,) for the first N of {images} images"
        )
    return found.detach().double().cpu()
