"""Columns about representations: what posterior means know of the labels."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from vaebench.data.images import Split
from vaebench.evaluation.functional.probes import Probe, accuracy, linear, nearest
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.metric import Measurement, Metric, Unavailable

#: Labels that a probe sees, None for all, and over how many draws of them it is averaged.
BUDGETS = {"100": (100, 5), "1000": (1000, 1), "all": (None, 1)}
PROBES: dict[str, tuple[Probe, str, str]] = {
    "linear": (linear, "Linear probe", "logistic regression"),
    "knn": (nearest, "5-NN", "five nearest neighbours"),
}


def _labels(split: Split) -> np.ndarray:
    if split.labels is None:
        raise Unavailable("the data set has no labels")
    return split.labels.numpy()


def _training(subject: Subject) -> np.ndarray:
    return _finite(subject.training_means())


def _test(subject: Subject) -> np.ndarray:
    return _finite(subject.means(subject.items))


def _finite(found: Tensor) -> np.ndarray:
    if not found.isfinite().all():
        raise Unavailable("posterior means are not finite")
    return found.numpy()


def _pixels(split: Split) -> np.ndarray:
    return split.pixels.flatten(1).numpy().astype(np.float64)


def _compute(probe: Probe, budget: int | None, repeats: int) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        train, test = _labels(subject.images.train), _labels(subject.images.test)
        if len(train) < (budget or 1):
            raise Unavailable(f"there are {len(train)} training images")
        right = accuracy(
            probe,
            subject.once(_training),
            train,
            subject.once(_test),
            test,
            budget=budget,
            repeats=repeats,
        )
        majority = float((test == np.bincount(train).argmax()).mean())
        used = len(train) if budget is None else budget
        return Measurement.mean(
            torch.from_numpy(right), None, {"majority": majority}, labels=used, subsets=repeats
        )

    return compute


def _of_pixels(probe: Probe, budget: int) -> Callable[[Subject], Measurement]:
    def compute(subject: Subject) -> Measurement:
        train, test = subject.pictured.train, subject.pictured.test
        parts = _pixels(train), _labels(train), _pixels(test), _labels(test)
        if len(train) < budget:
            raise Unavailable(f"there are {len(train)} training images")
        return Measurement.mean(
            torch.from_numpy(accuracy(probe, *parts, budget=budget)), labels=budget
        )

    return compute


def _metrics() -> Iterator[Metric]:
    for name, (probe, title, words) in PROBES.items():
        for label, (budget, repeats) in BUDGETS.items():
            yield Metric(
                name=f"probe_{name}_{label}",
                group="probe",
                title=f"{title}, {label} labels",
                unit="accuracy",
                better="higher",
                description=f"Test accuracy of {words} on posterior means, from {label} labels.",
                reference=f"probe_{name}_1000_real" if budget == 1000 else "",
                compute=_compute(probe, budget, repeats),
                costly=True,
            )
        yield Metric(
            name=f"probe_{name}_1000_real",
            kind="pictures",
            group="probe",
            title=f"{title} on pixels, 1000 labels",
            unit="accuracy",
            better="higher",
            description=f"Test accuracy of {words} on the pixels themselves, from 1000 labels.",
            compute=_of_pixels(probe, 1000),
            costly=True,
        )


METRICS = tuple(_metrics())
