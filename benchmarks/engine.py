"""What the engine costs: python benchmarks/engine.py [CELLS]. No GPU, nothing is downloaded.

Prints the driver's time for each cell, the throughput of several processes against one, and the
time and memory of planning and reporting many synthetic cells.
"""

import io
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rich.console import Console

from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.config.yaml_files import dump
from vaebench.execution.engines import local
from vaebench.execution.progress import Display
from vaebench.execution.worker import plan
from vaebench.report.page import page as pages
from vaebench.report.sheet import sheets
from vaebench.report.tables import write
from vaebench.report.tables.text import Terminal
from vaebench.runs import files, records
from vaebench.runs.run import Run

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


def throughput(folder, jobs):
    """Cells in a given time with `jobs` at once, against `jobs` times those with one at a time."""
    settings = replace(
        Settings(),
        plugins=("gaussian",),
        backbone=("mlp",),
        critic=("none",),
        epochs=(20,),
        metrics=("elbo", "mse"),
        seeds=tuple(range(2 * jobs)),
    )
    place = Place(Path("nowhere"), "cpu")
    tasks = local.call(plan, settings, place).tasks
    spent = {1: 0.0, jobs: 0.0}
    for turn, many in enumerate((1, jobs, jobs, 1)):
        folders = [folder / "short" / str(turn) / "cells" / task.cell.id for task in tasks]
        seconds, _ = time_of(list, local.Local(many).run(tasks, place, folders))
        assert all(files.read_json(f / "result.json")["status"] == "done" for f in folders)
        spent[many] += seconds
    return spent[1] / spent[jobs] / jobs


def table(index, names, rows, generator):
    values = generator.normal(-80, 1, (rows, len(names)))
    frame = pd.DataFrame(values, columns=names)
    frame.insert(0, index, range(1, rows + 1))
    return frame.to_csv(index=False)


def fill(folder, cells):
    generator = np.random.default_rng(0)
    terms = ("seconds", "valid_objective", "valid_elbo", "valid_kl", "train_objective")
    history = table("epoch", terms, 40, generator)
    names = ("elbo", "iwae_256", "log_likelihood_ais", "kl", "mse")
    per_image = table("index", names, 400, generator)
    means = pd.read_csv(io.StringIO(per_image)).mean()
    for cell in cells:
        metrics = {
            name: {"value": means[name], "se": 0.1, "n": 400, "better": "higher", "unit": "nats"}
            for name in names
        }
        record = files.failure(cell, None) | {"status": "done", "metrics": metrics}
        record |= {"timings": {"total": 1.0}, "train": {"seconds": 1.0}}
        files.write_text(folder / "cells" / cell.id / "history.csv", history)
        files.write_text(folder / "cells" / cell.id / "per_image.csv", per_image)
        files.write_result(folder / "cells" / cell.id, record)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    cores = len(os.sched_getaffinity(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        run(nothing, 1, 1, folder)
        seconds, _ = time_of(run, nothing, 40, 1, folder)
        print(f"a process a cell: {1000 * seconds / 40:.0f} ms a cell")
        ratio = throughput(folder, cores)
        print(f"throughput of --jobs {cores} on short cells: {ratio:.2f} of {cores} times one's")
        one, _ = time_of(run, busy, 4 * cores, 1, folder)
        all_, _ = time_of(run, busy, 4 * cores, cores, folder)
        print(f"throughput of {cores} processes: {one / all_ / cores:.2f} of {cores} times one's")

        latent = tuple(range(2, 7))
        settings = replace(Settings(), latent=latent, seeds=tuple(range(count // 40)))
        seconds, planned = time_of(local.call, plan, settings, Place(Path("nowhere"), "cpu"))
        cells = [task.cell for task in planned.tasks]
        print(f"planning {len(cells)} cells: {seconds:.1f} s")
        text = dump(planned.settings)
        files.write_text(folder / "config.yaml", text)
        clock = time.process_time()
        fill(folder, cells)
        records.write(folder, cells)
        screen = Console(file=(folder / "screen").open("w"))
        with Display(screen, list(planned.tasks)) as display:
            for i, cell in enumerate(cells):
                record = files.read_json(folder / "cells" / cell.id / "result.json")
                display.done(i, record)
                files.write_json(folder / "running.json", {"cells": [cell.id]})
        driver = time.process_time() - clock
        print(f"the driver's own work, a result written: {1000 * driver / count:.1f} ms a cell")
        seconds, flaws = time_of(lambda: [files.flaw(folder / "cells" / c.id) for c in cells])
        assert not any(flaws)
        print(f"looking for what is missing: {seconds:.1f} s")
        seconds, there = time_of(Run, folder, True)
        print(f"reading: {seconds:.1f} s")
        seconds, found = time_of(sheets, there)
        print(f"comparing: {seconds:.1f} s")
        seconds, _ = time_of(write.write, there, found)
        print(f"tables: {seconds:.1f} s")
        seconds, page = time_of(pages.write, there, found)
        print(f"page: {seconds:.1f} s, {page.stat().st_size >> 20} MiB")
        seconds, _ = time_of(lambda: screen.print(Terminal(found)))
        print(f"terminal: {seconds:.1f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"peak memory of the driver: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
