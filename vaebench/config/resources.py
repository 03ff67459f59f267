"""Where a run is computed, and how it tells of its progress: no part of what is compared."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
        devices: Over how many devices the training of one cell is spread.
        loggers: Trackers that follow a cell's training.
        compiled: Whether networks are compiled for training.
        replay: Whether training steps on a GPU are recorded and played again.
    """

    root: Path
    device: str = "auto"
    download: bool = False
    fid_weights: Path | None = None
    threads: int = 1
    checkpoint_every: float = 60.0
    devices: int = 1
    loggers: tuple[str, ...] = ()
    compiled: bool = False
    replay: bool = True


def cache_folder() -> Path:
    """Where vaebench keeps what it can find out again: ``$VAEBENCH_CACHE``, or ``~/.cache``.

    Where neither can be written to, this process and those that it starts share a temporary
    folder.
    """
    if not os.environ.get("VAEBENCH_CACHE"):
        try:
            folder = Path.home() / ".cache" / "vaebench"
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except (OSError, RuntimeError):
            pass
        os.environ["VAEBENCH_CACHE"] = tempfile.mkdtemp(prefix="vaebench-cache-")
        atexit.register(shutil.rmtree, os.environ["VAEBENCH_CACHE"], ignore_errors=True)
    return Path(os.environ["VAEBENCH_CACHE"])
