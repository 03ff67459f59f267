"""The tables of a run as files."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd
from pandas.api.types import is_object_dtype

from vaebench.config.metric import SUFFIXES
from vaebench.report.comparison.tuned import tuned
from vaebench.report.sheet import Sheet
from vaebench.report.tables import latex, text, worth
from vaebench.report.tables.choice import Wish, for_paper
from vaebench.runs import files, frames
from vaebench.runs.run import Run

_USUAL = Wish()


def write(run: Run, sheets: list[Sheet], folder: Path, wish: Wish = _USUAL) -> None:
    """Write a run's tables into a folder, each atomically.

    ``results.csv`` holds a row per cell, ``table.csv``, ``table.md`` and ``table.tex`` one per
    variant; where pyarrow is installed, ``results.parquet`` holds the cells with their types.

    Args:
        run: The run.
        sheets: Its tables, of the columns that are wished for.
        folder: Where to write.
        wish: What was asked for beside the usual.
    """
    cells = run.cells
    files.write_text(folder / "results.csv", frames.csv(cells))
    files.write_text(folder / "table.csv", frames.csv(_narrowed(run.table, sheets, wish)))
    gained = worth.markdown(tuned(run, sheets))
    files.write_text(folder / "table.md", text.markdown(sheets) + gained)
    papers = sheets if wish.columns else [for_paper(sheet) for sheet in sheets]
    label = wish.label or latex.label_of(run.folder.resolve().name)
    files.write_text(folder / "table.tex", latex.latex(papers, label, wish.caption))
    if find_spec("pyarrow"):
        files.write_bytes(folder / "results.parquet", parquet(cells))


def _narrowed(table: pd.DataFrame, sheets: list[Sheet], wish: Wish) -> pd.DataFrame:
    """The frame of `Run.table` with the columns and decimals that are wished for."""
    columns = [column for sheet in sheets for column in sheet.columns]
    names = list(dict.fromkeys(column.name for column in columns if column.key))
    metrics = table.attrs["metrics"]
    out = table.copy()
    if wish.columns:
        scores = [f"{name}{end}" for name in names for end in ("", *SUFFIXES)]
        cost = {*frames.COST, *(f"{name}{end}" for name in metrics for end in ("", *SUFFIXES))}
        kept = [name for name in table if name not in cost]
        out = out[[*kept, *(name for name in scores if name in table)]]
        metrics = {name: metrics[name] for name in names if name in metrics}
    if wish.digits is not None:
        decimals = {c.name: c.digits for c in columns}
        out = out.round({f"{n}{end}": d for n, d in decimals.items() for end in ("", *SUFFIXES)})
    out.attrs = {**table.attrs, "metrics": metrics}
    return out


def parquet(cells: pd.DataFrame) -> bytes:
    """The frame of `Run.cells` as Parquet: settings that are all numbers stay numbers."""
    out = cells.infer_objects()
    for name in [c for c in out if is_object_dtype(out[c])]:
        out[name] = out[name].map(str, na_action="ignore")
    out.attrs = {}
    buffer = BytesIO()
    out.to_parquet(buffer, index=False)
    return buffer.getvalue()
