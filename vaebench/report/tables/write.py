"""The tables of a run as files."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd
from pandas.api.types import is_object_dtype

from vaebench.report.sheet import Sheet
from vaebench.report.tables import latex, text
from vaebench.runs import files, frames
from vaebench.runs.run import Run


def write(run: Run, sheets: list[Sheet], folder: Path) -> None:
    """Write a run's tables into a folder, each atomically.

    ``results.csv`` holds a row per cell, ``table.csv``, ``table.md`` and ``table.tex`` one per
    variant; where pyarrow is installed, ``results.parquet`` holds the cells with their types.
    """
    cells = run.cells
    files.write_text(folder / "results.csv", frames.csv(cells))
    files.write_text(folder / "table.csv", frames.csv(run.table))
    files.write_text(folder / "table.md", text.markdown(sheets))
    files.write_text(folder / "table.tex", latex.latex(sheets))
    if find_spec("pyarrow"):
        files.write_bytes(folder / "results.parquet", parquet(cells))


def parquet(cells: pd.DataFrame) -> bytes:
    """The frame of `Run.cells` as Parquet: settings that are all numbers stay numbers."""
    out = cells.infer_objects()
    for name in [c for c in out if is_object_dtype(out[c])]:
        out[name] = out[name].map(str, na_action="ignore")
    out.attrs = {}
    buffer = BytesIO()
    out.to_parquet(buffer, index=False)
    return buffer.getvalue()
