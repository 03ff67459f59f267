"""Processes that raise, hang, exit, fork or eat memory end, and the others go on."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from vaebench.execution.engines import Limits, local


def misbehave(kind, send):
    send(kind)
    print("said", kind, flush=True)
    if kind == "raises":
        raise RuntimeError("no luck")
    if kind == "exits":
        os._exit(7)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    if kind == "forks":
        if os.fork() == 0:
            time.sleep(3)
        os._exit(0)
    if kind == "eats":
        hoard = []
        while True:
            hoard.append(bytearray(64 * 2**20))


def follow(folder, send):
    (Path(folder) / "pid").write_text(str(os.getpid()))
    time.sleep(1000)


def run(kinds, tmp_path, jobs=3, limits=Limits()):  # noqa: B008
    logs = [tmp_path / kind / "log.txt" for kind in kinds]
    events = list(local.run(misbehave, [(kind,) for kind in kinds], logs, jobs, limits))
    assert [e.message for e in events if e.message] != []
    return {kinds[e.task]: e for e in events if e.exitcode is not None}, logs


def test_each_ends_in_its_own_way(tmp_path):
    kinds = ["fine", "raises", "exits", "killed", "forks", "eats"]
    ends, logs = run(kinds, tmp_path, limits=Limits(gigabytes=1))
    assert {kind: end.exitcode for kind, end in ends.items()} == {
        "fine": 0,
        "raises": 1,
        "exits": 7,
        "killed": -signal.SIGKILL,
        "forks": 0,
        "eats": 1,
    }
    assert all("said" in log.read_text() for log in logs)
    assert "no luck" in logs[1].read_text()
    assert "MemoryError" in logs[5].read_text()


def test_one_that_hangs_is_ended_and_the_next_one_runs(tmp_path):
    ends, _ = run(["hangs", "fine"], tmp_path, jobs=1, limits=Limits(seconds=3))
    assert ends["hangs"].reason == "it took longer than 3 s"
    assert ends["hangs"].exitcode == -signal.SIGKILL
    assert ends["fine"].exitcode == 0


def test_giving_up_ends_the_processes_at_once(tmp_path):
    events = local.run(misbehave, [("hangs",)], [tmp_path / "log.txt"], 1)
    assert next(events).message == "hangs"
    assert multiprocessing.active_children()
    events.close()
    assert not multiprocessing.active_children()


def test_workers_die_with_their_driver(tmp_path):
    code = (
        "import sys; from pathlib import Path; from vaebench.execution.engines import local\n"
        "from tests.execution.test_engines import follow\n"
        "if __name__ == '__main__':\n"
        "    list(local.run(follow, [(sys.argv[1],)], [Path(sys.argv[1], 'log')], 1))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    driver = os.spawnve(
        os.P_NOWAIT, sys.executable, [sys.executable, str(script), str(tmp_path)], environment
    )
    pid = tmp_path / "pid"
    _until(lambda: pid.exists() and pid.read_text())
    process = Path("/proc", pid.read_text())
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    _until(lambda: not process.exists() or "Z" in (process / "stat").read_text().split()[2])


def _until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
