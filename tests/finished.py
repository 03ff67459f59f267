"""A small run that has really been trained, for the tests of what reads and uses runs."""

from pathlib import Path

from tests.cells import task
from vaebench.config.resources import Place
from vaebench.execution import run_cell as cells
from vaebench.runs import files


def train(run: Path, **changes) -> str:
    """Train one small cell into a run and return its name."""
    small = task(metrics=("elbo", "kl", "mse"), **changes)
    place = Place(root=Path("nowhere"), device="cpu")
    folder = run / "cells" / small.cell.id
    record = cells.run(small, place, folder, lambda progress: None)
    assert record["status"] == "done", record["reason"]
    files.write_text(run / "config.yaml", "dataset: digits\n")
    return small.cell.id
