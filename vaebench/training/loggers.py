"""Trackers that follow a cell's training and take up its numbers, through Lightning's loggers."""

import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vaebench.config.cell import Cell
from vaebench.errors import UserError, unknown


def _tensorboard(cell: Cell, folder: Path, run: str) -> Any:
    from pytorch_lightning.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="logs", version="", default_hp_metric=False)


def _wandb(cell: Cell, folder: Path, run: str) -> Any:
    from pytorch_lightning.loggers import WandbLogger

    (folder / "logs").mkdir(parents=True, exist_ok=True)
    key = cell.id.rpartition("-")[2]
    return WandbLogger(
        name=cell.id, version=key, save_dir=folder / "logs", project=run, resume="allow"
    )


def _mlflow(cell: Cell, folder: Path, run: str) -> Any:
    from pytorch_lightning.loggers import MLFlowLogger

    logs = (folder / "logs").resolve()
    logs.mkdir(parents=True, exist_ok=True)
    where = os.environ.get("MLFLOW_TRACKING_URI")
    return MLFlowLogger(
        run,
        run_name=cell.id,
        tracking_uri=where or f"sqlite:///{logs / 'mlflow.db'}",
        artifact_location=None if where else (logs / "artifacts").as_uri(),
    )


#: By name, which is that of the package too, what makes the logger of a cell.
TRACKERS: dict[str, Callable[[Cell, Path, str], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def named(text: str) -> tuple[str, ...]:
    """The trackers in a list with commas between.

    Raises:
        UserError: There is no such tracker, or it is not installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in TRACKERS:
            raise unknown("logger", name, TRACKERS)
        if find_spec(name) is None:
            raise UserError(
                f"--logger {name} needs {name}: pip install 'vaebench[{name}]', or leave it out."
            )
    return names


class Trackers:
    """The loggers of one cell. One that fails is given up, and the cell goes on.

    Args:
        names: Which, as `named` returns them.
        cell: The cell; its name is that of the run in the tracker.
        config: Its settings, logged as hyperparameters.
        folder: Its folder; files go into ``logs`` there. The run's folder names the experiment.
    """

    def __init__(
        self, names: tuple[str, ...], cell: Cell, config: Mapping[str, Any], folder: Path
    ) -> None:
        self.loggers: list[Any] = []
        run = folder.resolve().parents[1].name or "vaebench"
        for name in names:
            try:
                logger = TRACKERS[name](cell, folder, run)
                logger.log_hyperparams(dict(config))
                self.loggers.append(logger)
            except Exception:
                traceback.print_exc()

    def row(self, row: Mapping[str, float]) -> None:
        """Log an epoch's row of the history."""
        values = {name: value for name, value in row.items() if name != "epoch"}
        self._each(lambda logger: logger.log_metrics(values, step=int(row["epoch"])))

    def end(self, record: Mapping[str, Any]) -> None:
        """Log the metrics of a cell's record as ``final/<metric>``, and close."""
        values = {
            f"final/{name}": metric["value"]
            for name, metric in record["metrics"].items()
            if metric.get("value") is not None
        }
        done = record["status"] == "done"
        if values:
            step = int(record["train"]["epochs"])
            self._each(lambda logger: logger.log_metrics(values, step=step))
        self._each(lambda logger: logger.finalize("success" if done else "failed"))
        for logger in self.loggers:
            with suppress(Exception):
                getattr(logger.experiment, "finish", lambda: None)()

    def _each(self, log: Callable[[Any], None]) -> None:
        for logger in list(self.loggers):
            try:
                log(logger)
            except Exception:
                traceback.print_exc()
                self.loggers.remove(logger)
