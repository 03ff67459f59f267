"""The numbers that lie beside the results of cells as CSV, of many cells at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from csv import Error, reader
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vaebench.runs import files, schema

_LINES = 200_000
#: Bytes of files that are parsed together.
_TOGETHER = 4 * 2**20
#: Until then pandas rounds the last bit unless it is told not to.
_EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    else {}
)


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Columns of numbers by name, NaN where there is none.

    Attributes:
        index: What the rows are of, such as epochs, (N,); no number is there twice.
        places: The place of each column by its name.
        values: The numbers, (N, columns).
    """

    index: np.ndarray
    places: Mapping[str, int]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __getitem__(self, name: str) -> np.ndarray:
        """The numbers of a column, (N,)."""
        found: np.ndarray = self.values[:, self.places[name]]
        return found

    def frame(self, index: str) -> pd.DataFrame:
        """The numbers as a frame whose index has a name."""
        return pd.DataFrame(
            self.values, index=pd.Index(self.index, name=index), columns=list(self.places)
        )


#: What is read of a file that is missing or cannot be read.
NONE = Numbers(np.empty(0), {}, np.empty((0, 0)))


def read(run: Path | str, cells: Iterable[str], name: str, index: str) -> dict[str, Numbers]:
    """A CSV of each of a run's cells by the numbers in its column `index`.

    Every file is opened once; those of one kind are parsed together. What is in no way a number is
    NaN, and what is missing or cannot be read is empty.
    """
    found = dict.fromkeys(cells, NONE)
    waiting: dict[bytes, list[tuple[str, bytes]]] = {}
    size = 0
    for cell in found:
        content = _content(run, f"cells/{cell}/{name}")
        if content is None:
            continue
        head, _, body = content.partition(b"\n")
        waiting.setdefault(head, []).append((cell, body))
        size += len(body)
        if size > _TOGETHER:
            found |= _parsed(waiting, index)
            waiting, size = {}, 0
    return found | _parsed(waiting, index)


def _content(run: Path | str, name: str) -> bytes | None:
    path = files.file(run, name)
    try:
        return path.read_bytes() if path else None
    except OSError:
        return None


def _parsed(waiting: Mapping[bytes, list[tuple[str, bytes]]], index: str) -> dict[str, Numbers]:
    """The numbers of files by their cells, from what follows their equal first lines."""
    found: dict[str, Numbers] = {}
    for head, bodies in waiting.items():
        lengths = [_lines(body, head.count(b",")) for _, body in bodies]
        plain = [] if b'"' in head or b"\r" in head else [n for n in lengths if n is not None]
        several = [body for (_, body), n in zip(bodies, lengths, strict=True) if n is not None]
        values = _together(several, head.count(b",") + 1, sum(plain)) if plain else None
        at, start = _places(head, index), 0
        for (cell, body), length in zip(bodies, lengths, strict=True):
            if values is None or at is None or length is None:
                found[cell] = _alone(head + b"\n" + body, index)
                continue
            found[cell] = _indexed(values[start : start + length], *at)
            start += length
    return found


def _lines(body: bytes, commas: int) -> int | None:
    """The lines of a file that is to be parsed with others; None where it has to be alone."""
    lines = body.count(b"\n")
    whole = body.endswith(b"\n") and lines <= _LINES and commas > 0
    whole = whole and body.count(b",") == commas * lines
    return None if not whole or b'"' in body or b"\r" in body or b"\n\n" in body else lines


def _together(bodies: Sequence[bytes], width: int, lines: int) -> np.ndarray | None:
    """The numbers (lines, width) of files one below the other; None where one holds others."""
    try:
        frame = pd.read_csv(BytesIO(b"".join(bodies)), header=None, dtype=np.float64, **_EXACT)
    except ValueError:
        return None
    return _finite(frame.to_numpy()) if frame.shape == (lines, width) else None


def _places(head: bytes, index: str) -> tuple[int, dict[str, int], list[int]] | None:
    """Where the index stands, the place of each other column, and where these stand."""
    try:
        names = head.decode("utf-8").split(",")
    except UnicodeDecodeError:
        return None
    if len(set(names)) < len(names) or index not in names:
        return None
    rest = [i for i, name in enumerate(names) if name != index]
    return names.index(index), {names[i]: place for place, i in enumerate(rest)}, rest


def _indexed(values: np.ndarray, at: int, places: Mapping[str, int], rest: list[int]) -> Numbers:
    """Rows by their index, each number's first row alone."""
    index = values[:, at]
    if not (index[1:] > index[:-1]).all() or np.isnan(index).any():
        kept = np.zeros(len(index), bool)
        kept[np.unique(index, return_index=True)[1]] = True
        kept &= ~np.isnan(index)
        index, values = index[kept], values[kept]
    return Numbers(index, places, values[:, 1:] if at == 0 else values[:, rest])


def _alone(content: bytes, index: str) -> Numbers:
    """The numbers of one file, whatever else it holds."""
    try:
        lines = StringIO(content.decode("utf-8"), newline="")
        names = next(reader(lines))
        if len(set(names)) < len(names):
            return NONE
        rest = list(islice(lines, _LINES))
        values = _each(rest).reshape(-1, len(names))
        at = names.index(index)
    except (StopIteration, ValueError, Error):
        return NONE
    others = [i for i in range(len(names)) if i != at]
    return _indexed(values, at, {names[i]: place for place, i in enumerate(others)}, others)


def _each(lines: list[str]) -> np.ndarray:
    try:
        values = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2) if lines else np.empty(0)
    except ValueError:
        values = np.array([[_number(text) for text in line] for line in reader(lines)])
    return _finite(values)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < schema.HUGE, values, np.nan)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
