"""Measures a finished cell again, with other metrics or more effort."""

from pathlib import Path
from typing import Any

from vaebench.compute import devices
from vaebench.data.images import Request
from vaebench.errors import UserError
from vaebench.evaluation.metrics.select import evaluate as measure
from vaebench.evaluation.metrics.select import select
from vaebench.evaluation.metrics.subject import Subject
from vaebench.execution.restore import described, restore
from vaebench.execution.run_cell import observation
from vaebench.registry import lookup


def evaluate(
    run: Path,
    record: dict[str, Any],
    metrics: tuple[str, ...],
    effort: dict[str, Any],
    *,
    data_dir: Path | None,
    fid_weights: Path | None,
    device: str,
) -> dict[str, dict[str, Any]]:
    """The records of the metrics, by column, as in ``result.json``.

    Args:
        run: The cell's run.
        record: The cell's record, from `roster.cells`.
        metrics: Names or groups of metrics.
        effort: `ais_images`, `steps`, `ais_target`, `ais_budget`, `compile`, `iw_samples` and
            `iw_images`, where given.
        data_dir: The folder of the data sets.
        fid_weights: Path of the feature extractor's weights.
        device: Where to compute.

    Raises:
        UserError: There is no trained model, no such metric, or the data are not the cell's.
    """
    chosen = select(metrics)
    trained = restore(run, record)
    cell, _, _ = described(record)
    request = Request(data_dir or Path("data"), size=cell.image_size)
    images = lookup.load(cell.dataset, request)
    if images.hash() != cell.data:
        raise UserError(f"{cell.dataset} is not the data set that the cell was trained on.")
    wanted = {key: getattr(cell, key) for key in ("ais_images", "iw_samples", "iw_images")} | effort
    subject = Subject(
        model=trained.model.to(devices.find(device)),
        variant=trained.variant,
        images=images,
        seed=cell.seed,
        observation=observation(cell),
        extractor_name=cell.extractor,
        weights=fid_weights,
        ais_steps=wanted.pop("steps", None),
        ais_compile=wanted.pop("compile", False),
        **wanted,
    )
    found = measure(subject, chosen, {}, lambda done: None)
    for one in found.values():
        one.pop("per_image")
    return found


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print the metrics with what they depend on."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False)
    for title in ("metric", "value", "±", "unit", "depends on"):
        drawn.add_column(title, no_wrap=title == "metric", overflow="fold")
    for name, one in found.items():
        depends = ", ".join(f"{key} {value}" for key, value in one["depends"].items())
        notes = [depends, one["warning"] or "", one["reason"] or ""]
        value, se = (f"{x:.6g}" if x is not None else "" for x in (one["value"], one["se"]))
        cells = (name, value or "n/a", se, one["unit"], "; ".join(filter(None, notes)))
        drawn.add_row(*map(Text, cells))
    Console().print(drawn)
