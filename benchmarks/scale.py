"""Peak memory of a cell with many pictures: planned, trained for some steps, and evaluated.

    python benchmarks/scale.py [--pictures 1280000]

Random pictures of 32×32 pixels in colour are written straight into the cache of decoded pictures,
as if a folder of so many files had been read. A process then plans a cell on the default network,
and another one trains it for some seconds and measures the default metrics, both as `vaebench run`
starts them. AIS and the importance bound get little effort: they decode as many at a time with more
of it. A thread reads what the process holds a hundred times a second: *anonymous* memory is its
own; *resident* adds pages of files, those of libraries and of the mapped *pictures*, which the
kernel takes back at will.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page import Page

from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.data import folder, mapped
from vaebench.data.images import Request
from vaebench.execution import worker

_SIDE, _CLASSES = 32, 10
_STATUS, _MAPS = Path("/proc/self/status"), Path("/proc/self/smaps")
_ASKED_GIB = 2
#: What a cell does before its metrics, and how many of these are shown.
_FIRST, _SHOWN = ("planning", "starting", "training"), 6
#: Seconds between two looks at a process, and looks between two at its maps, which take longer.
_PAUSE, _RARELY = 0.01, 50


class Peaks:
    """The most MiB that this process holds in each phase, by name: a context.

    Attributes:
        found: Anonymous and resident memory and that of mapped pictures, of each phase.
    """

    def __init__(self, first: str) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._phase, self._over = first, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peaks":
        self.enter(self._phase)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._note()

    def enter(self, phase: str) -> None:
        """Count what is held from now on to a phase."""
        if phase == self._phase and phase in self.found:
            return
        self._note()
        print(f"{self._phase}: {self.found[self._phase]}", file=sys.stderr, flush=True)
        self._phase = phase
        Path("/proc/self/clear_refs").write_text("5")
        self._note()

    def _watch(self) -> None:
        turn = 0
        while not self._over.wait(_PAUSE):
            self._note()
            turn += 1
            if turn % _RARELY == 0:
                self._keep(pictures=_mapped())

    def _note(self) -> None:
        said = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        held = {"anonymous": "RssAnon", "resident": "VmHWM"}
        self._keep(**{name: int(said[key].split()[0]) / 1024 for name, key in held.items()})

    def _keep(self, **values: float) -> None:
        known = self.found.setdefault(self._phase, {"anonymous": 0, "resident": 0, "pictures": 0})
        for name, value in values.items():
            known[name] = max(known[name], value)


def _mapped() -> float:
    """MiB of the cache's pictures that are in this process's memory."""
    total, here = 0, False
    with _MAPS.open() as lines:
        for line in lines:
            if not line[0].isupper():
                here = line.rstrip().endswith(mapped.PIXELS)
            elif here and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total / 1024


def make(home: Path, count: int) -> None:
    """Let the cache hold random pictures, with classes, for a folder of empty files."""
    home.mkdir()
    for number in range(folder.WORTH):
        (home / f"{number}.bmp").touch()
    time.sleep(0.5)
    test = count // 10
    validation = (count - test) // 10
    counts = {"train": count - test - validation, "validation": validation, "test": test}

    def write(root: Path, side: int, place: Path) -> dict[str, Any]:
        random, shape = np.random.default_rng(0), (3, side, side)
        with mapped.Writer(place / mapped.PIXELS, (count, *shape)) as writer:
            for row in range(0, count, 1000):
                some = (min(1000, count - row), *shape)
                writer.put(row, torch.from_numpy(random.integers(0, 256, some, dtype=np.uint8)))
        np.save(place / mapped.LABELS, random.integers(0, _CLASSES, count))
        return {"counts": counts, "notes": []}

    folder._written = write
    folder.read_folder(Request(home, size=_SIDE))


def planned(home: Path, seconds: float, kept: Path) -> None:
    """Plan a cell, and keep its task."""
    settings = Settings(
        plugins=("gaussian",),
        dataset=(f"folder:{home}",),
        image_size=(_SIDE,),
        epochs=(1,),
        budget=("seconds",),
        seconds=seconds,
        ais_images=2,
        ais_budget=100,
        iw_images=2,
    )
    with kept.open("wb") as file:
        pickle.dump(worker.plan(settings, _place(home)).tasks[0], file)


def _place(home: Path) -> Place:
    return Place(home, "cpu")


def inside(role: str, home: Path, seconds: float) -> dict[str, dict[str, float]]:
    """The peaks of this process, in which a cell is planned, or trained and measured."""
    import vaebench.execution.engines.preload  # noqa: F401

    kept = home.parent / "task"
    with Peaks("planning" if role == "planning" else "starting") as peaks:
        if role == "planning":
            planned(home, seconds, kept)
            return peaks.found
        with kept.open("rb") as file:
            task = pickle.load(file)
        place = home.parent / "run" / "cells" / task.cell.id
        record = worker.work(task, _place(home), place, lambda stage: peaks.enter(stage[0]))
        assert record["status"] == "done", record["reason"]
        assert not record["halted"], record["halted"]
        for name, each in record["metrics"].items():
            if each["failed"]:
                print(f"{name} failed: {each['reason']}", file=sys.stderr)
    return peaks.found


def measured(role: str, parent: Path, seconds: float) -> dict[str, dict[str, float]]:
    """The peaks of a process of its own, by phase."""
    command = [sys.executable, __file__, "--role", role, "--home", str(parent)]
    command += ["--seconds", str(seconds)]
    subprocess.run(command, check=True)
    with (parent / role).open("rb") as file:
        found: dict[str, dict[str, float]] = pickle.load(file)
    return found


def shown(phases: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The names of all phases but metrics, and of those metrics that take most."""
    rest = [name for name in phases if name not in _FIRST]
    most = sorted(rest, key=lambda name: -phases[name]["resident"])[:_SHOWN]
    return [name for name in phases if name in _FIRST or name in most]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=1_280_000)
    parser.add_argument("--seconds", type=float, default=20, help="of training")
    parser.add_argument("--out", default="results/performance")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        found = inside(arguments.role, arguments.home / "pictures", arguments.seconds)
        with (arguments.home / arguments.role).open("wb") as file:
            pickle.dump(found, file)
        return
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        environ.update(VAEBENCH_CACHE=f"{parent}/cache", OMP_NUM_THREADS="1")
        make(parent / "pictures", arguments.pictures)
        page = Page("Many pictures", Path(arguments.out) / "scale.md")
        many = f"{arguments.pictures:,} pictures of {_SIDE}×{_SIDE} pixels in colour"
        page(f"{many}; peaks in MiB, of metrics those that take most.\n")
        page.header("what a process does", "anonymous", "resident", "of it mapped pictures")
        phases: dict[str, dict[str, float]] = {}
        for role in ("planning", "cell"):
            phases |= measured(role, parent, arguments.seconds)
        for name in shown(phases):
            peaks = (phases[name][each] for each in ("anonymous", "resident", "pictures"))
            page.row(name, *(f"{peak:.0f}" for peak in peaks))
        worst = {
            key: max(each[key] for each in phases.values()) for key in ("anonymous", "resident")
        }
        words = " and ".join(f"{value / 1024:.2f} GiB {key}" for key, value in worst.items())
        page(f"\nAt most {words}; asked are {_ASKED_GIB}.")
        page.close()


if __name__ == "__main__":
    main()
