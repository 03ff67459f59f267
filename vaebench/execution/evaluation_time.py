"""How long the phases of an evaluation may take, from its first images."""

import io
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vaebench.compute.random import seeded
from vaebench.config.cell import Evaluation
from vaebench.config.resources import Place
from vaebench.data.batches import items_of
from vaebench.data.dataset import Dataset, subset
from vaebench.data.modalities import Modalities
from vaebench.errors import UserError
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import fitting, wanted
from vaebench.evaluation.metrics.subject import usual_draws
from vaebench.evaluation.shown import shown
from vaebench.execution.forecast import PICTURES, REAL
from vaebench.execution.measure import subject_of
from vaebench.models.metric import Metric, Unavailable
from vaebench.training.build import Resolved

#: Codes that are decoded together to time it.
_ROWS = 64
#: Gradients an image that annealing spends on its search and pilots, however small the budget.
_PILOTS = 2000
#: Test items that metrics are tried on first, then four times as many, until that takes a second.
_FEW, _ENOUGH = 8, 1.0


def phases(
    resolved: Resolved, evaluation: Evaluation, place: Place, images: Dataset
) -> dict[str, float]:
    """Seconds of each group of metrics and of the pictures, at most those of annealing.

    Args:
        resolved: A cell with a model that has been trained a little.
        evaluation: What is measured.
        place: Where weights of feature extractors are.
        images: The whole data set.
    """
    asked = [metric for metric, _ in wanted(evaluation).values()]
    metrics = fitting(asked, images.kind)
    rest = [metric for metric in metrics if not _decodes(metric)]
    found = _decoding(resolved, evaluation, metrics, len(images.test))
    # What fails here fails in the evaluation, where it costs its own number.
    with suppress(Exception), redirect_stderr(io.StringIO()), _apart():
        found |= _measured(resolved, evaluation, place, images, rest)
    return found


def _decodes(metric: Metric) -> bool:
    """Whether the effort that is asked for says how much a metric decodes."""
    return not {"ais_budget", "iw_images"}.isdisjoint(metric.effort)


def _decoding(
    resolved: Resolved, evaluation: Evaluation, metrics: Sequence[Metric], images: int
) -> dict[str, float]:
    """Seconds of annealing, at most, and of bounds, by group."""
    model = resolved.model.eval()
    x = model.see(items_of(resolved.images.test, model.likelihood, "test").to(resolved.device))
    with seeded(0, "timing"), torch.no_grad():
        p = model.prior(x)
        z = p.sample(torch.Size((_ROWS,) if p.batch_shape else (_ROWS, 1)))

    def forward() -> None:
        with torch.no_grad():
            model.log_likelihood(z, x)

    def backward() -> None:
        leaf = z.detach().requires_grad_(True)
        torch.autograd.grad(model.log_likelihood(leaf, x).sum(), leaf)

    annealed = min(images, evaluation.ais_images) * max(evaluation.ais_budget, _PILOTS)
    passes = min(images, evaluation.iw_images) * evaluation.iw_samples
    # Gaps make use of what "ais" has found, a bracket anneals in both directions, and what parts
    # say of each other needs an estimate without each of them.
    data = resolved.images
    several = len(data.layout.names) if isinstance(data, Modalities) else 0
    gradients = {"ais": annealed, "bdmc": 2 * annealed, "conditional": several * annealed}
    found: dict[str, float] = {}
    for metric in filter(_decodes, metrics):
        if "iw_images" in metric.effort:
            found[metric.group] = passes * _time(forward) / _ROWS
        elif metric.group in gradients:
            seconds = gradients[metric.group] * _time(backward) / _ROWS
            found[metric.group] = found.get(metric.group, 0.0) + seconds
    return found


def _measured(
    resolved: Resolved,
    evaluation: Evaluation,
    place: Place,
    images: Dataset,
    metrics: Sequence[Metric],
) -> dict[str, float]:
    """Seconds of other metrics and of the pictures, along the line through two small numbers."""
    total = len(images.test)
    known: list[tuple[int, dict[str, float]]] = []
    for count in _counts(total):
        started = time.perf_counter()
        known.append((count, _tried(resolved, evaluation, place, images, metrics, count)))
        # The first try may load and compile what the others use.
        if len(known) > 2 and time.perf_counter() - started > _ENOUGH:
            break
    (few, before), (many, now) = known[-2:] if len(known) > 1 else known * 2
    return {
        name: seconds
        if name == PICTURES
        else max(seconds, seconds + (total - many) * (seconds - before[name]) / max(1, many - few))
        for name, seconds in now.items()
    }


def _counts(total: int) -> Iterator[int]:
    count = _FEW
    while count < total:
        yield count
        count *= 4
    yield total


def _tried(
    resolved: Resolved,
    evaluation: Evaluation,
    place: Place,
    images: Dataset,
    metrics: Sequence[Metric],
    count: int,
) -> dict[str, float]:
    """Seconds that the first test images take, with as large a part of the training images."""
    total = len(images.test)
    few = replace(
        images, train=_part(images.train, count / total), test=_part(images.test, count / total)
    )
    if few.labelled is not None:
        few = replace(few, labelled=min(few.labelled, len(few.train)))
    subject = subject_of(replace(resolved, images=few), evaluation, place, draws=usual_draws(total))
    found: dict[str, float] = {}
    if any(metric.takes("extractor") for metric in metrics):
        found[REAL] = _time_once(lambda: (subject.real, subject.training, subject.noise))
    evaluate(subject, metrics, found, lambda done: None)
    with tempfile.TemporaryDirectory() as folder:
        found[PICTURES] = _time_once(lambda: list(shown(subject, Path(folder))))
    return found


def _part(split: Any, share: float) -> Any:
    """The first items of a split."""
    return subset(split, slice(max(1, math.ceil(share * len(split)))))


@contextmanager
def _apart() -> Iterator[None]:
    """Keep features of parts of data sets nowhere."""
    before = os.environ.get("VAEBENCH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VAEBENCH_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["VAEBENCH_CACHE"]
            else:
                os.environ["VAEBENCH_CACHE"] = before


def _time(function: Callable[[], object]) -> float:
    """Seconds of a call, after one that is not timed."""
    function()
    return _time_once(function)


def _time_once(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    with suppress(Unavailable, UserError):
        function()
    return time.perf_counter() - start
