"""A run that is read: the records of its cells, and tidy frames of them. No torch."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from vaebench.errors import UserError, unknown
from vaebench.runs import frames, numbers, records
from vaebench.runs.numbers import Numbers
from vaebench.runs.schema import Record


class Run:
    """What a run left behind; every frame is read on first use.

    Args:
        folder: The run's folder, as given to ``--out``.
        pending: Include the cells that are planned and have not begun.

    Raises:
        UserError: The folder is not a run.
    """

    def __init__(self, folder: Path | str, pending: bool = False) -> None:
        self.folder = Path(folder)
        read = records.completed if pending else records.cells
        self.records: dict[str, Record] = {one["cell"]: one for one in read(folder)}

    def __repr__(self) -> str:
        done = sum(record["status"] == "done" for record in self.records.values())
        return f"Run({str(self.folder)!r}: {done} of {len(self.records)} cells done)"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell: settings, status, each metric with its ``_se``, and the cost."""
        return frames.frame(self.folder, list(self.records.values()), self.epochs)

    @cached_property
    def epochs(self) -> dict[str, Numbers]:
        """The history of each finished cell, a row per epoch."""
        return frames.histories(self.folder, list(self.records.values()))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per variant and settings: means over seeds with 95 % intervals."""
        return frames.table(self.cells)

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
        found = numbers.read(self.folder, self.cells["cell"], name, index)
        for _, row in self.cells.iterrows():
            if len(found[row["cell"]]):
                part = (
                    found[row["cell"]]
                    .frame(index)
                    .reset_index()
                    .melt(index, var_name=kind)
                    .dropna()
                    .astype({index: int})
                )
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


def newest() -> Path:
    """The run in ``results`` that was written last.

    Raises:
        UserError: There is none.
    """
    found = sorted(Path("results").glob("*/cells"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("No run in the folder results; name the folder of one with --run.")
    return found[-1].parent
