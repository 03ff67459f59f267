"""What a plugin leaves behind ends with its cell, and logs are bounded."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from vaebench.errors import UserError
from vaebench.execution.engines import Limits, local
from vaebench.execution.engines.guardian import Log

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def test_a_log_keeps_both_ends(tmp_path):
    log = Log(tmp_path / "log.txt", largest=1000)
    for number in range(1000):
        log.write(f"line {number}\n".encode())
    log.close()
    text = (tmp_path / "log.txt").read_text()
    assert text.startswith("line 0\nline 1\n") and text.endswith("line 998\nline 999\n")
    assert "bytes of the log are left out" in text and len(text) < 1100


def test_a_log_goes_on_within_its_bounds(tmp_path):
    path = tmp_path / "log.txt"
    for letter in "abc":
        log = Log(path, largest=1000)
        log.write(letter.encode() * 400)
        log.close()
    assert path.read_text() == "a" * 400 + "b" * 400 + "c" * 400
    log = Log(path, largest=1000)
    log.write(b"d" * 5000)
    log.close()
    assert path.stat().st_size < 1800 and path.read_text().startswith("aaa")


def test_a_short_log_is_whole(tmp_path):
    log = Log(tmp_path / "log.txt", largest=1000)
    log.write(b"a" * 700)
    log.write(b"b" * 100)
    log.close()
    assert (tmp_path / "log.txt").read_bytes() == b"a" * 700 + b"b" * 100


def leave(folder, how, send):
    """Start what outlives an ordinary process, say which, and end in one way or another."""
    Path(tempfile.mkdtemp(), "left").write_text("")
    child = subprocess.Popen(["sleep", "1000"])
    away = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    send((os.getpid(), child.pid, away.pid, tempfile.gettempdir()))
    if how == "exits":
        os._exit(0)
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        # Native code that keeps the GIL, so that no signal handler or thread runs.
        import ctypes

        ctypes.PyDLL(None).sleep(1000)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["returns", "exits", "is killed", "hangs"])
def test_nothing_outlives_a_task(tmp_path, how):
    limits = Limits(seconds=5 if how == "hangs" else None)
    events = list(local.run(leave, [(tmp_path, how)], [tmp_path / "log.txt"], 1, limits))
    *pids, temporary = events[0].message
    assert all(map(gone, pids))
    assert "vaebench-" in temporary and not Path(temporary).exists()
    assert events[-1].exitcode == {"is killed": -9, "hangs": -9}.get(how, 0)
    assert ("without a result" in events[-1].reason) == (how == "exits")


DRIVER = """
import sys
from pathlib import Path
from tests.execution.test_guardian import leave
from vaebench.execution.engines import local
if __name__ == "__main__":
    for event in local.run(leave, [(sys.argv[1], "hangs")], [Path(sys.argv[1], "log")], 1):
        print(*event.message, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "server", "worker"])
def test_nothing_outlives_a_killed_driver_server_or_worker(tmp_path, victim):
    script = tmp_path / "script.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert driver.stdout is not None
        *pids, temporary = driver.stdout.readline().split()
        parent = Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1]
        server = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
        killed = {"driver": driver.pid, "server": int(server), "worker": int(pids[0])}[victim]
        os.kill(killed, signal.SIGKILL)
        until(lambda: all(map(gone, pids)) and not Path(temporary).exists())
    finally:
        driver.kill()
        driver.communicate()


def once(folder, send):
    """Be killed at the first attempt."""
    marks = list(Path(folder).glob("mark*"))
    (Path(folder) / f"mark{len(marks)}").write_text("")
    if len(marks) < 1:
        os.kill(os.getpid(), signal.SIGKILL)
    send("through")


def always(folder, send):
    marks = list(Path(folder).glob("mark*"))
    (Path(folder) / f"mark{len(marks)}").write_text("")
    os.kill(os.getpid(), signal.SIGKILL)


def test_who_is_killed_is_started_again_but_not_for_ever(tmp_path):
    log = tmp_path / "log.txt"
    events = list(local.run(once, [(tmp_path,)], [log], 1, tries=2))
    assert [event.exitcode for event in events] == [None, 0]
    (ended,) = local.run(always, [(tmp_path,)], [log], 1, tries=3)
    assert ended.exitcode == -signal.SIGKILL and len(list(tmp_path.glob("mark*"))) == 2 + 3


def kill_server():
    os.kill(int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]), 9)
    time.sleep(1000)


@pytest.mark.slow
def test_a_server_that_is_killed_each_time_is_a_sentence():
    with pytest.raises(UserError, match=r"gave no answer: .*the process that it was forked from"):
        local.call(kill_server)
    assert local.call(os.getpid) != os.getpid()


def test_a_worker_that_ends_without_an_answer_is_a_sentence():
    with pytest.raises(UserError, match="exit code 3"):
        local.call(os._exit, 3)
    # 255 is what multiprocessing says of a process whose server was killed.
    with pytest.raises(UserError, match="exit code 254"):
        local.call(os._exit, 255)


def chat():
    print("noise of a plugin")
    os.system("echo noise of its child")


def test_what_a_worker_prints_is_not_the_output_of_the_command(capfd):
    local.call(chat)
    assert capfd.readouterr().out == ""


def drop():
    """Start a process of another session that its parent leaves behind."""
    if not os.fork():
        os.setsid()
        if not os.fork():
            time.sleep(1000)
        os._exit(0)
    os.wait()
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if ppid(path) == os.getppid()]


def ppid(path):
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_what_a_call_leaves_behind_ends_with_it():
    adopted = set(local.call(drop))
    assert len(adopted) == 2 and all(map(gone, adopted))


SERVED = """
import os, sys
from vaebench.execution.engines import local
local.serve()
from multiprocessing.forkserver import _forkserver
print(_forkserver._forkserver_pid, flush=True)
os._exit(0)
"""


def test_a_server_whose_driver_ends_at_once_does_not_import_in_vain():
    done = subprocess.run(
        [sys.executable, "-c", SERVED], stdout=subprocess.PIPE, text=True, check=True
    )
    server = int(done.stdout)
    clock = time.monotonic()
    loaded = False
    while not gone(server):
        with suppress(OSError):
            loaded |= "libtorch" in Path(f"/proc/{server}/maps").read_text()
        assert time.monotonic() < clock + 60
        time.sleep(0.05)
    assert not loaded
