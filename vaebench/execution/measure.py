"""What is measured of a trained cell, for the run that trained it and for whoever asks later."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from vaebench.config.cell import Cell, Evaluation
from vaebench.config.resources import Place
from vaebench.evaluation.metrics.evaluate import evaluate
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.runs.schema import MetricRecord
from vaebench.training.build import Resolved

#: Settings of a cell that say how much effort a number is worth.
EFFORT = tuple(f.name for f in fields(Evaluation) if f.name not in ("metrics", "extractor"))


def subject_of(resolved: Resolved, place: Place, **effort: Any) -> Subject:
    """The trained model of a resolved cell, ready to be measured.

    Args:
        resolved: A cell whose model is trained; it is put into evaluation mode.
        place: Where weights of feature extractors are.
        effort: Fields of `Subject` that shall differ from the cell's settings.
    """
    cell = resolved.cell
    return Subject(
        model=resolved.model.eval().requires_grad_(False),
        variant=resolved.variant,
        images=resolved.images,
        seed=cell.seed,
        observation=observation(cell),
        extractor_name=cell.extractor,
        weights=place.fid_weights,
        download=place.download,
        **({name: getattr(cell, name) for name in EFFORT} | effort),
    )


def observation(cell: Cell) -> str:
    """Observation model and binarisation in words: what a likelihood depends on."""
    return cell.likelihood + ("" if cell.binarise == "none" else f", {cell.binarise} binarisation")


def measure(
    subject: Subject,
    names: tuple[str, ...],
    timings: dict[str, float],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, MetricRecord], dict[str, list[float]]]:
    """Measure what names of metrics stand for.

    Args:
        subject: The trained model.
        names: Metrics or groups of them.
        timings: Takes up the seconds spent, by group.
        report: Called with the number of metrics done, and of how many.

    Returns:
        The metrics' records by column, and the values of each image of those that have some.
    """
    metrics = select(names)
    found = evaluate(subject, metrics, timings, lambda done: report(done, len(metrics)))
    return found.records, {name: values.tolist() for name, values in found.per_image.items()}
