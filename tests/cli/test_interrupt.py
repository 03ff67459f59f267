"""Signals, outputs and surroundings that a command meets in the wild: a sentence, no traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = ["run", "--plugins", "gaussian", "--dataset", "digits", "--epochs", "1", "--backbone", "mlp",
       "--width", "8", "--latent", "2", "--critic", "none", "--metrics", "elbo"]  # fmt: skip


def start(*arguments, cwd, **more):
    environment = {**os.environ, "PYTHONSAFEPATH": "", **more.pop("env", {})}
    code = "import sys; sys.path.remove(''); from vaebench.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, **more},
    )


def finish(process):
    out, error = process.communicate(timeout=300)
    return process.returncode, out, error.decode("utf-8", "replace")


def begun(process):
    """Whether the command listens to signals, which Python's own start does not."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught, 16) >> (signal.SIGTERM - 1) & 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        *((signal.SIGINT, seconds) for seconds in (0, 0.5, 1, 2, 4, 8, 12)),
        (signal.SIGHUP, 6),
        (signal.SIGTERM, 3),
    ],
)
def test_an_interrupt_at_any_moment_is_one_sentence(tmp_path, number, seconds):
    process = start(*RUN, "--epochs", "500", cwd=tmp_path)
    while not begun(process):
        time.sleep(0.01)
    time.sleep(seconds)
    clock = time.monotonic()
    # As a terminal does: to every process of the group.
    os.killpg(process.pid, number)
    process.wait(20)
    assert time.monotonic() - clock < 2
    code, _, error = finish(process)
    assert code == 130
    assert error == "Interrupted. The same command goes on where this one stopped.\n"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], [*RUN, "--out", "run"]])
def test_a_full_output_is_a_sentence_and_the_report_is_there(tmp_path, arguments):
    with open("/dev/full", "wb") as full:
        code, _, error = finish(start(*arguments, cwd=tmp_path, stdout=full))
    assert code == 1
    assert "cannot be written (No space left on device)" in error and "Traceback" not in error
    assert arguments == ["list"] or (tmp_path / "run" / "report.html").exists()


def test_without_an_output_nothing_is_amiss(tmp_path):
    code = "from vaebench.cli import main; main(['--version'])"
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" >&-', sys.executable, code], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_working_directory_that_is_gone_is_a_sentence(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
    code += "from vaebench.cli import main; main(['list'])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("Error: The working directory is gone")


@pytest.mark.slow
def test_a_run_does_without_home_colours_and_clean_surroundings(tmp_path):
    """No home, ASCII alone, a notebook's backend, and modules named like Python's own."""
    for name in ("random", "struct", "copy", "token"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not the one of Python')")
    odd = {
        "HOME": "/proc/nowhere",
        "PYTHONIOENCODING": "ascii",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    environment = {key: value for key, value in os.environ.items() if key != "VAEBENCH_CACHE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vaebench", *RUN, "--out", "run"],
        cwd=tmp_path,
        env=environment | odd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    code, _, error = finish(process)
    assert code == 0, error
    assert (tmp_path / "run" / "report.html").exists() and "Traceback" not in error
    assert "atplotlib" not in error
