"""Measures a finished cell again, with other metrics or more effort."""

from pathlib import Path
from typing import Any

from vaebench.compute import devices
from vaebench.config.resources import Place
from vaebench.evaluation.metrics.select import select
from vaebench.execution.measure import measure, subject_of
from vaebench.execution.restore import described, restore
from vaebench.runs.schema import MetricRecord, Record
from vaebench.training.build import read


def evaluate(
    run: Path,
    record: Record,
    metrics: tuple[str, ...],
    effort: dict[str, Any],
    *,
    data_dir: Path | None,
    fid_weights: Path | None,
    device: str,
) -> dict[str, MetricRecord]:
    """The records of the metrics, by column, as in ``result.json``.

    Args:
        run: The cell's run.
        record: The cell's record, from `records.cells`.
        metrics: Names or groups of metrics.
        effort: Fields of `Subject` that shall differ from the cell's settings, such as
            `ais_images`, `ais_steps` or `iw_samples`.
        data_dir: The folder of the data sets.
        fid_weights: Path of the feature extractor's weights.
        device: Where to compute.

    Raises:
        UserError: There is no trained model, no such metric, or the data are not the cell's.
    """
    select(metrics)
    place = Place(data_dir or Path("data"), device, fid_weights=fid_weights)
    trained = restore(run, record, read(described(record)[0], place), devices.find(device))
    return measure(subject_of(trained, place, **effort), metrics, {})[0]
