"""The functions that run in worker processes; the driver names them without loading torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaebench.config import Cell, Settings
from vaebench.errors import UserError

#: Called with the stage, how many of its steps are done, and of how many.
Progress = Callable[[tuple[str, int, int]], None]


@dataclass(frozen=True)
class Place:
    """Where and with what a run is computed; nothing here is a part of what is compared.

    Attributes:
        root: The folder of the data sets.
        device: ``cpu``, ``cuda``, …, or ``auto`` before planning.
        download: Whether data and weights may be fetched.
        fid_weights: Path of the feature extractor's weights, if it does not ship with them.
        threads: Threads for torch on a CPU.
        checkpoint_every: Seconds between two checkpoints of a cell's training.
    """

    root: Path
    device: str = "auto"
    download: bool = False
    fid_weights: Path | None = None
    threads: int = 1
    checkpoint_every: float = 60.0


@dataclass(frozen=True)
class Plan:
    """The cells of a run, the settings with every name spelled out, and the device found."""

    settings: Settings
    cells: tuple[Cell, ...]
    device: str


def plan(settings: Settings, place: Place) -> Plan:
    """Resolve and check everything that is asked for; UserError if it cannot be had."""
    from vaebench import devices, matrix

    if place.fid_weights is not None and not place.fid_weights.is_file():
        raise UserError(f"--fid-weights {place.fid_weights} is no file.")
    device = devices.find(place.device)
    return Plan(*matrix.cells(settings, place), str(device))


def work(cell: Cell, place: Place, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run a cell into its folder."""
    from vaebench.cell import run

    return run(cell, place, folder, progress)


def installed() -> dict[str, Any]:
    """What `vaebench list` shows."""
    from vaebench.inventory import collect

    return collect()


def chosen(names: tuple[str, ...]) -> list[str]:
    """The variants that names stand for; UserError for one that cannot be had."""
    from vaebench.plugins import catalogue

    found = catalogue()
    selected = found.select(names)
    for name in selected:
        found.variant(name)
    return selected


def examine(name: str, send: Callable[[list[dict[str, Any]]], None]) -> None:
    """Run the conformance kit on a variant and send its results."""
    from dataclasses import asdict

    from vaebench import testing
    from vaebench.plugins import catalogue

    send([asdict(result) for result in testing.run(catalogue().variant(name))])
