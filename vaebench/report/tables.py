"""The tables of a run as files and in the terminal."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd
from pandas.api.types import is_object_dtype

from vaebench import results, store
from vaebench.report import latex, text
from vaebench.report.reading import Reading, read


def write(run: Path | str | Reading) -> None:
    """Write a run's tables, each atomically.

    ``results.csv`` holds a row per cell, ``table.csv``, ``table.md`` and ``table.tex`` one per
    variant; where pyarrow is installed, ``results.parquet`` holds the cells with their types.

    Raises:
        UserError: The folder is no run.
    """
    reading = read(run)
    folder, cells, found = reading.run, reading.cells, reading.sheets
    store.write_text(folder / "results.csv", results.csv(cells))
    store.write_text(folder / "table.csv", results.csv(results.table(cells)))
    store.write_text(folder / "table.md", text.markdown(found))
    store.write_text(folder / "table.tex", latex.latex(found))
    if find_spec("pyarrow"):
        store.write_bytes(folder / "results.parquet", parquet(cells))


def parquet(cells: pd.DataFrame) -> bytes:
    """The frame of `results.load` as Parquet: settings that are all numbers stay numbers."""
    out = cells.infer_objects()
    for name in [c for c in out if is_object_dtype(out[c])]:
        out[name] = out[name].map(str, na_action="ignore")
    out.attrs = {}
    buffer = BytesIO()
    out.to_parquet(buffer, index=False)
    return buffer.getvalue()


def terminal(run: Path | str | Reading) -> text.Terminal:
    """The tables of a run for the terminal, as something that rich prints.

    Raises:
        UserError: The folder is no run.
    """
    return text.Terminal(read(run).sheets)
