"""What the engine costs: python benchmarks/engine.py [CELLS]. No GPU, nothing is downloaded.

Prints the driver's time for each cell, the throughput of several processes against one, and the
time and memory of planning and reporting many synthetic cells.
"""

import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.console import Console

from vaebench import results, store
from vaebench.config import Settings, to_dict
from vaebench.display import Display
from vaebench.engines import local
from vaebench.worker import Place, plan

UNITS = 3_000_000


def nothing(send):
    send(("training", 1, 1))


def busy(send):
    total = 0
    for i in range(UNITS):
        total += i * i


def time_of(function, *arguments):
    clock = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - clock, value


def run(function, tasks, jobs, folder):
    logs = [Path(folder) / "logs" / str(i) for i in range(tasks)]
    return list(local.run(function, [()] * tasks, logs, jobs))


def fill(folder, cells):
    for i, cell in enumerate(cells):
        metrics = {
            name: {"value": -80.0 - i % 7, "se": 0.1, "n": 400, "better": "higher", "unit": "nats"}
            for name in ("elbo", "iwae_256", "log_likelihood_ais", "kl", "mse")
        }
        record = store.failure(cell, None) | {"status": "done", "metrics": metrics}
        record |= {"timings": {"total": 1.0}, "train": {"seconds": 1.0}}
        (folder / "cells" / cell.id).mkdir(parents=True)
        store.write_result(folder / "cells" / cell.id, record)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    cores = len(os.sched_getaffinity(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        run(nothing, 1, 1, folder)
        seconds, _ = time_of(run, nothing, 40, 1, folder)
        print(f"a process a cell: {1000 * seconds / 40:.0f} ms a cell")
        one, _ = time_of(run, busy, 4 * cores, 1, folder)
        all_, _ = time_of(run, busy, 4 * cores, cores, folder)
        print(f"throughput of {cores} processes: {one / all_ / cores:.2f} of {cores} times one's")

        settings = replace(Settings(), plugins=("gaussian", "iwae"), seeds=tuple(range(count // 2)))
        seconds, planned = time_of(local.call, plan, settings, Place(Path("nowhere"), "cpu"))
        cells = planned.cells
        print(f"planning {len(cells)} cells: {seconds:.1f} s")
        text = yaml.safe_dump(to_dict(planned.settings))
        store.write_text(folder / "config.yaml", text)
        clock = time.process_time()
        fill(folder, cells)
        store.write_plan(folder, cells)
        screen = Console(file=(folder / "screen").open("w"))
        with Display(screen, list(cells)) as display:
            for i, cell in enumerate(cells):
                record = store.read_json(folder / "cells" / cell.id / "result.json")
                display.done(i, record)
                store.write_json(folder / "running.json", {"cells": [cell.id]})
        driver = time.process_time() - clock
        print(f"the driver's own work, a result written: {1000 * driver / count:.1f} ms a cell")
        seconds, flaws = time_of(lambda: [store.flaw(folder / "cells" / c.id) for c in cells])
        assert not any(flaws)
        print(f"looking for what is missing: {seconds:.1f} s")
        seconds, _ = time_of(results.write, folder)
        print(f"tables: {seconds:.1f} s")
        from vaebench import report

        seconds, page = time_of(report.write, folder)
        print(f"page: {seconds:.1f} s, {page.stat().st_size >> 20} MiB")
        seconds, _ = time_of(lambda: screen.print(results.terminal(folder)))
        print(f"terminal: {seconds:.1f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"peak memory of the driver: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
