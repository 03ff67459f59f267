"""A folder of pictures: decoded into memory, into the cache, and mapped from it.

    python benchmarks/folder.py [--pictures 100000]

Each row is a process of its own that reads the folder and hashes what it has read, as every cell
does. Time is processor seconds with one thread; memory is what the process grows by at its peak.
The pictures, discs of 32×32 pixels in colour, are made first, in class folders of a temporary
place; the cache is there too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from page import Page
from peer import forget, peak
from PIL import Image

from vaebench.data import folder
from vaebench.data.images import Request
from vaebench.registry.lookup import load

_SIDE = 32
_CLASSES = 10


def make(home: Path, count: int) -> None:
    """Discs of random place, size and colours, as BMP files."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    for number in range(_CLASSES):
        (home / str(number)).mkdir(parents=True)
    for number in range(count):
        (row, column), radius = random.uniform(4, 28, 2), random.uniform(3, 10)
        inside = (y - row) ** 2 + (x - column) ** 2 < radius**2
        colours = random.integers(0, 256, (2, 3), dtype=np.uint8)
        path = home / str(number % _CLASSES) / f"{number:07d}.bmp"
        Image.fromarray(colours[inside.astype(int)]).save(path)


def read(home: Path) -> dict[str, float | str]:
    """What reading and hashing a folder takes."""
    forget()
    before, begin = peak(), time.process_time()
    digest = load(f"folder:{home}", Request(home, size=_SIDE)).hash()
    return {
        "seconds": time.process_time() - begin,
        "MiB": peak() - before,
        "hash": digest,
    }


def measured(home: Path, kept: bool) -> dict[str, float | str]:
    """The figures of a process of its own."""
    command = [sys.executable, __file__, "--read", str(home), *(["--kept"] if kept else [])]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, float | str] = json.loads(said.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--out", default="results/performance")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        folder.WORTH = folder.WORTH if arguments.kept else 2**62
        print(json.dumps(read(arguments.read)))
        return
    with tempfile.TemporaryDirectory() as parent:
        os.environ |= {"VAEBENCH_CACHE": f"{parent}/cache", "OMP_NUM_THREADS": "1"}
        home = Path(parent, "pictures")
        make(home, arguments.pictures)
        page = Page("Folders", Path(arguments.out) / "folder.md")
        page(f"{arguments.pictures} files of {_SIDE}×{_SIDE} pixels in {_CLASSES} folders.\n")
        page.header("what a process does", "seconds", "MiB", "hash")
        rows = (("decodes into memory", False), ("decodes into the cache", True))
        for name, kept in (*rows, ("maps what is there", True)):
            found = measured(home, kept)
            seconds, size = float(found["seconds"]), float(found["MiB"])
            page.row(name, f"{seconds:.2f}", f"{size:.0f}", found["hash"])
        page.close()


if __name__ == "__main__":
    main()
