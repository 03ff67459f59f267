"""A run that is read once for everything that is made of it."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vaebench import results, roster
from vaebench.report.sheet import Sheet, sheets


class Reading:
    """What the tables and the page of a run share: its cells, those it has yet to run included.

    Args:
        run: The run's folder.

    Raises:
        UserError: The folder is no run.
    """

    def __init__(self, run: Path | str) -> None:
        self.run = Path(run)
        self.records: list[dict[str, Any]] = roster.completed(run)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell, as `results.load` returns it."""
        return results.frame(self.run, self.records)

    @cached_property
    def sheets(self) -> list[Sheet]:
        """The tables, one for each data set."""
        return sheets(self.cells, self.records)


def read(run: Path | str | Reading) -> Reading:
    """The reading of a run; one that has been read is not read again.

    Raises:
        UserError: The folder is no run.
    """
    return run if isinstance(run, Reading) else Reading(run)
