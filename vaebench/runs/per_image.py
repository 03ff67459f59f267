"""The values of each test image that are kept beside a cell's result, to the bit."""

from pathlib import Path

import pandas as pd

NAME = "per_image.csv"


def read(folder: Path) -> pd.DataFrame:
    """A column (N,) of float64 for each metric that has values; empty where there are none."""
    path = folder / NAME
    if not path.is_file():
        return pd.DataFrame()
    values = pd.read_csv(path, index_col="index", dtype=str).astype("float64")
    return values.set_axis(values.index.astype("int64"))


def content(values: pd.DataFrame) -> bytes:
    """The content of the file from which `read` makes the same values."""
    return values.to_csv(index_label="index").encode("utf-8")
