"""Prints Markdown as it comes, and keeps it with where, when and by what it was measured."""

import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

PACKAGES = ("vaebench", "torch", "pytorch-lightning", "pythae", "numpy")


def timed(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[Any, float]:
    """What a function returns, and the seconds of processor time that it took.

    With one thread these are the seconds of a clock on a machine with nothing else to do, and
    other people's work on a shared one does not count.
    """
    begin = time.process_time()
    found = function(*args, **options)
    return found, time.process_time() - begin


def paired(
    ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Processor seconds of both sides in pairs, one after the other; the order alternates."""
    rows = []
    for pair in range(pairs):
        first, second = (ours, theirs) if pair % 2 == 0 else (theirs, ours)
        one, other = timed(first)[1], timed(second)[1]
        rows.append((one, other) if pair % 2 == 0 else (other, one))
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def median_of(values: Iterable[float], digits: int = 2) -> str:
    """The median with the range of the middle half."""
    low, middle, high = np.quantile(np.array(list(values)), (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"


def machine() -> str:
    """Processor, cores, threads, load, versions and date in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(": ")[2] if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"{name} not installed")
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads, {gpu}; "
        f"load {os.getloadavg()[0]:.1f}; {', '.join(versions)}; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


class Page:
    """A Markdown page that is printed and written line by line.

    Args:
        title: Its heading.
        path: The file; what it held before is lost.
    """

    def __init__(self, title: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        self._path = path
        self(f"# {title}\n")
        self(f"`python {shlex.join(sys.argv)}` on {machine()}\n")

    def __call__(self, text: str = "") -> None:
        """Add a line."""
        print(text, flush=True)
        with self._path.open("a") as file:
            print(text, file=file)

    def header(self, *columns: str) -> None:
        """Begin a table."""
        self.row(*columns)
        self("|" + "---|" * len(columns))

    def row(self, *values: Any) -> None:
        """Add a row to the table."""
        self("| " + " | ".join(map(str, values)) + " |")

    def close(self) -> None:
        """Say what the load is at the end."""
        self(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")
