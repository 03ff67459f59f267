"""What a run survives: killed drivers, full disks, altered files, cells that never end."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tests.registry.test_catalogue import package
from vaebench.runs.files import flaw

pytestmark = pytest.mark.slow
SMALL = [
    *("--epochs", "6", "--backbone", "mlp", "--width", "16", "--latent", "3", "--jobs", "2"),
    *("--ais-images", "2", "--iw-samples", "8", "--metrics", "elbo,mse", "--critic", "none"),
    *("--checkpoint-every", "0"),
]
STRANGERS = """
import glob, os, shutil, signal, time
import torch
from vaebench import Gaussian, Variant, hookimpl

class Hangs(Gaussian):
    def forward(self, h):
        print("counting sheep", flush=True)
        time.sleep(1000)

class Eats(Gaussian):
    def forward(self, h):
        hoard = []
        while True:
            hoard.append(bytearray(2**26))

class Leaves(Gaussian):
    def forward(self, h):
        os._exit(0)

class Vanishes(Gaussian):
    def forward(self, h):
        for folder in glob.glob("*/cells/vanishes*"):
            shutil.rmtree(folder)
        os._exit(0)

class Killed(Gaussian):
    def forward(self, h):
        with open("killed.txt", "a") as file:
            file.write("again ")
        os.kill(os.getpid(), signal.SIGKILL)

class Chatty(Gaussian):
    def forward(self, h):
        print("la " * 2**20)
        return super().forward(h)

@hookimpl
def vaebench_variants():
    return [Variant(kind.__name__.lower(), kind)
            for kind in (Hangs, Eats, Leaves, Vanishes, Killed, Chatty)]
"""
#: Installed beside the others, and never named.
HOSTILE = """
import os, sys
import torch
torch.set_default_dtype(torch.float64)
os.chdir("/")
sys.setrecursionlimit(80)
sys.modules["json"] = None
os.closerange(0, 1000)
os._exit(0)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts the command in a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    site = tmp_path_factory.mktemp("site")
    package(site, "strangers", STRANGERS)
    package(site, "hostile", HOSTILE)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))

    def begin(*arguments, **more):
        return subprocess.Popen(
            [sys.executable, "-m", "vaebench", *arguments],
            cwd=home,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    begin.home = home
    return begin


def finish(process, seconds=300):
    out, error = process.communicate(timeout=seconds)
    return process.returncode, out, error


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def content(run):
    """Everything that does not depend on time: weights, histories, numbers."""
    kept = ("model.safetensors", "per_image.csv", "samples.png")
    files = {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.glob("cells/*/*")
        if path.name in kept
    } | {
        str(path.relative_to(run)): pd.read_csv(path).drop(columns="seconds").to_csv()
        for path in run.glob("cells/*/history.csv")
    }
    frame = pd.read_csv(run / "results.csv").drop(
        columns=["seconds", "seconds_per_epoch", "seconds_to_elbo", "peak_memory"]
    )
    return files, frame


#: How often a run is hit; more by VAEBENCH_KILLS=40.
KILLS = int(os.environ.get("VAEBENCH_KILLS", "6"))
VICTIMS = ("driver", "guardian", "worker")


def children(pid):
    """Processes whose parent is `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def victims(driver, kind):
    """Processes of a kind that belong to a driver: a server forks guardians, and these workers."""
    if kind == "driver":
        return [driver]
    guardians = [g for server in children(driver) for g in children(server) if children(g)]
    return guardians if kind == "guardian" else [w for g in guardians for w in children(g)]


def whole_cells(run):
    """The records of cells that are finished, by their paths."""
    return {
        path: path.read_bytes()
        for path in run.glob("cells/*/result.json")
        if flaw(path.parent) is None
    }


def hit(run, begin, process, kind, wait):
    """Kill a process of a kind after a while; the driver then, and what was finished before."""
    while True:
        if process is None or process.poll() is not None:
            if len(whole_cells(run)) == 3:
                shutil.rmtree(run)
            process = begin()
        time.sleep(wait())
        found = victims(process.pid, kind)
        if process.poll() is None and found:
            before = whole_cells(run)
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(found[-1], signal.SIGKILL)
                return process, before


def test_killed_at_random_moments(start):
    chosen = ["--plugins", "gaussian,iwae[samples=3],iaf", *SMALL]
    clock = time.monotonic()
    assert finish(start("run", *chosen, "--out", "whole"))[0] == 0
    length = time.monotonic() - clock
    dice = random.Random(1)
    whole, killed = start.home / "whole", start.home / "killed"
    process = None
    for k in range(KILLS):
        process, finished = hit(
            killed,
            lambda: start("run", *chosen, "--out", "killed"),
            process,
            VICTIMS[k % len(VICTIMS)],
            lambda: dice.uniform(0.1, 0.9) * length,
        )
        print(k + 1, VICTIMS[k % len(VICTIMS)], len(finished), "finished", flush=True)
        if VICTIMS[k % len(VICTIMS)] == "driver":
            finish(process)
        for path, text in finished.items():
            assert path.read_bytes() == text and flaw(path.parent) is None
    finish(process)
    assert finish(start("run", *chosen, "--out", "killed"))[0] == 0
    files, frame = content(whole)
    files_again, frame_again = content(killed)
    assert files == files_again
    pd.testing.assert_frame_equal(frame, frame_again)
    assert not list(killed.glob("cells/*/checkpoint"))


def test_an_altered_file_is_computed_again(start):
    chosen = ["run", "--plugins", "gaussian", *SMALL, "--out", "altered"]
    assert finish(start(*chosen))[0] == 0
    (cell,) = (start.home / "altered" / "cells").iterdir()
    before = (cell / "model.safetensors").read_bytes()
    for name in ("model.safetensors", "result.json"):
        text = bytearray((cell / name).read_bytes())
        text[len(text) // 2] ^= 1
        (cell / name).write_bytes(text)
        code, _, error = finish(start(*chosen))
        assert code == 0 and "computing the cell again" in error
        assert (cell / "model.safetensors").read_bytes() == before
        assert flaw(cell) is None


def test_cells_that_hang_or_eat_fail_and_the_others_finish(start):
    chosen = ["run", "--plugins", "hangs,eats,gaussian", *SMALL, "--out", "ends"]
    code, _, error = finish(start(*chosen, "--cell-timeout", "20", "--cell-memory", "3"))
    assert code == 1, error
    frame = pd.read_csv(start.home / "ends" / "results.csv").set_index("plugin")
    assert frame.status.to_dict() == {"gaussian": "done", "hangs": "failed", "eats": "failed"}
    assert "longer than 20 s" in frame.reason["hangs"]
    assert "counting sheep" in frame.reason["hangs"]
    assert "MemoryError" in frame.reason["eats"]
    found = json.loads(finish(start("status", "ends", "--json"))[1])
    assert [len(found[s]) for s in ("finished", "running", "failed", "missing")] == [1, 0, 2, 0]


def test_cells_without_a_result_fail_alone(start):
    chosen = ["run", "--plugins", "leaves,vanishes,killed,gaussian", *SMALL, "--out", "alone"]
    code, out, error = finish(start(*chosen))
    assert code == 1 and "Traceback" not in error, error
    assert (start.home / "alone" / "report.html").exists() and "Report:" in out
    frame = pd.read_csv(start.home / "alone" / "results.csv").set_index("plugin")
    assert frame.status.to_dict() == {
        "gaussian": "done",
        **dict.fromkeys(("leaves", "vanishes", "killed"), "failed"),
    }
    assert "without a result" in frame.reason["leaves"]
    assert "without a result" in frame.reason["vanishes"]
    assert "exit code -9" in frame.reason["killed"]
    # The machine may have killed it: tried once more in the run, and again by the same command.
    assert (start.home / "killed.txt").read_text() == "again " * 2
    assert finish(start(*chosen))[0] == 1
    assert (start.home / "killed.txt").read_text() == "again " * 4


def test_a_log_without_end_is_cut(start):
    chosen = ["run", "--plugins", "chatty", *SMALL, "--out", "chatty"]
    assert finish(start(*chosen))[0] == 0
    (log,) = start.home.glob("chatty/cells/*/log.txt")
    assert log.stat().st_size < 11 * 2**20 and "are left out" in log.read_text("utf-8")


def test_a_second_driver_is_refused_and_ctrl_c_ends_at_once(start):
    # Whatever a shell in the background has ignored would be ignored by the driver as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = ["run", "--plugins", "hangs", *SMALL, "--out", "busy"]
    first = start(*chosen)
    until((start.home / "busy" / "running.json").exists)
    code, _, error = finish(start(*chosen))
    assert code == 2 and "Another vaebench is working" in error
    found = json.loads(finish(start("status", "busy", "--json"))[1])
    assert len(found["running"]) == 1
    clock = time.monotonic()
    first.send_signal(signal.SIGINT)
    hint = next(line for line in first.stderr if "The same command goes on" in line)
    assert hint and time.monotonic() - clock < 5
    code, _, _ = finish(first)
    assert code == 130 and time.monotonic() - clock < 20
    found = json.loads(finish(start("status", "busy", "--json"))[1])
    assert len(found["missing"]) == 1 and not found["running"]


@pytest.mark.parametrize("size", [300, 12_000])
def test_a_full_disk_is_a_sentence(start, size):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    chosen = ["run", "--plugins", "gaussian", *SMALL, "--out", f"full{size}"]
    code, _, error = finish(start(*chosen, preexec_fn=limit))
    assert code == 2
    assert "cannot be written (File too large)" in error
    assert "Traceback" not in error
    assert finish(start(*chosen, "--retry-failed"))[0] == 0
