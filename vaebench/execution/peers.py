"""The other processes of a cell whose training is spread over several devices."""

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaebench.compute.ranks import ALONE, Ranks
from vaebench.config.cell import Cell
from vaebench.config.resources import Place

#: Seconds that rank 0 has to end by itself once another rank has failed.
GRACE = 20.0


@contextmanager
def peers(cell: Cell, place: Place, folder: Path) -> Iterator[Ranks]:
    """Start ranks 1, 2, … of a cell on this machine, and be rank 0 of them.

    They end with this process. Should one of them fail, this process fails as well.
    """
    if place.devices == 1:
        yield ALONE
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [Ranks(rank, place.devices, port) for rank in range(place.devices)]
    done = threading.Event()
    others = [_start((cell, place, folder, one), done) for one in ranks[1:]]
    try:
        yield ranks[0]
        done.set()
        for process in others:
            process.wait()
    finally:
        done.set()
        for process in others:
            process.kill()
            process.wait()


def _start(
    task: tuple[Cell, Place, Path, Ranks], done: threading.Event
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "vaebench.execution.peer"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    pickle.dump(task, process.stdin)
    process.stdin.flush()

    def watch() -> None:
        if process.wait() and not done.wait(GRACE):
            print(f"rank {task[-1].rank} ended with exit code {process.returncode}", flush=True)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return process
