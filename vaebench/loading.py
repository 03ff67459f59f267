"""A finished run for notebooks: tidy frames, and the trained models on request."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vaebench import results, roster
from vaebench.errors import UserError, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaebench.model import VAE


def load(run: Path | str) -> "Run":
    """Open a run's folder for reading.

    Raises:
        UserError: The folder is no run.
    """
    return Run(run)


class Run:
    """What a run left behind; every frame is read on first use.

    Args:
        folder: The run's folder, as given to ``--out``.

    Raises:
        UserError: The folder is no run.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.records = {record["cell"]: record for record in roster.cells(folder)}

    def __repr__(self) -> str:
        done = sum(record["status"] == "done" for record in self.records.values())
        return f"Run({str(self.folder)!r}: {done} of {len(self.records)} cells done)"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell: settings, status, each metric with its ``_se``, and the cost."""
        return results.frame(self.folder, list(self.records.values()))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per variant and settings: means over seeds with 95 % intervals."""
        return results.table(self.cells)

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per cell, epoch and term: ``cell, plugin, dataset, seed, epoch, term, value``."""
        return self._long("history.csv", "epoch", "term")

    @cached_property
    def per_image(self) -> pd.DataFrame:
        """A row per cell, test image and metric, nats and the like: ``…, index, metric, value``."""
        return self._long("per_image.csv", "index", "metric")

    def _long(self, name: str, index: str, kind: str) -> pd.DataFrame:
        """One CSV of every cell as one long frame, empty values left out."""
        identity = ["cell", "plugin", "dataset", "seed"]
        columns = [*identity, index, kind, "value"]
        parts = []
        for _, row in self.cells.iterrows():
            wide = results.numbers(self.folder, f"cells/{row['cell']}/{name}", index)
            if len(wide):
                part = wide.reset_index().melt(index, var_name=kind).dropna().astype({index: int})
                parts.append(part.assign(**{key: row[key] for key in identity})[columns])
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def find(self, cell: str) -> str:
        """The full name of a cell from its name, or from a beginning that no other has.

        Raises:
            UserError: No cell is called so, or several.
        """
        found = [name for name in self.records if name == cell]
        found = found or [name for name in self.records if cell and name.startswith(cell)]
        if len(found) > 1:
            raise UserError(f"{cell!r} begins {len(found)} cells: {', '.join(found)}; write more.")
        if not found:
            raise unknown("cell", cell, self.records)
        return found[0]

    def model(self, cell: str) -> "VAE":
        """The trained VAE of a cell on the CPU, in evaluation mode.

        The weights are read as safetensors and checked against the model that the cell's settings
        describe; nothing is unpickled. The variant's plugin has to be installed.

        Args:
            cell: Its name, or a beginning of it that no other cell has.

        Raises:
            UserError: There is no such cell, it did not finish, or its weights do not fit.
        """
        from vaebench.trained import restore

        return restore(self.folder, self.records[self.find(cell)]).model

    def plot_curves(self, term: str) -> "Axes":
        """A term of the history over epochs: mean of each variant's seeds, with their range.

        Args:
            term: Such as ``valid_elbo`` or ``train_log_px``.

        Raises:
            UserError: No cell has that term.
        """
        from vaebench.report import figures

        return figures.curves(self, term)

    def plot_scatter(self, x: str, y: str) -> "Axes":
        """One metric against another, a point with its intervals for each variant.

        Raises:
            UserError: Fewer than two variants have both, or they may not be compared.
        """
        from vaebench.report import figures

        return figures.scatter(self, x, y)

    def plot_differences(self, metric: str) -> "Axes":
        """The difference of each variant to the best one, with its 95 % interval.

        Raises:
            UserError: There is no such metric, or nothing to tell the variants apart by.
        """
        from vaebench.report import figures

        return figures.differences(self, metric)
