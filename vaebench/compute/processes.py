"""Processes that end together with whoever wanted them, whatever runs in them. No torch."""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_PDEATHSIG, _SUBREAPER = 1, 36
#: Seconds that killed processes are waited for.
_PATIENCE = 2.0
#: How nice the session is that a process is in, and how often one tries to change that.
_SHARE, _TRIES = Path("/proc/self/autogroup"), 5


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel signal this process when its parent ends (Linux); end if it has already.

    Args:
        parent: The parent's id, asked for before this process was forked.
        number: The signal.
    """
    _prctl(_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def lead_session() -> None:
    """Become the leader of a session, which is as nice as this process (Linux).

    Where the kernel divides processors among sessions, a new one has its full share however nice
    the processes in it are: ``nice vaebench run`` would not be.
    """
    os.setsid()
    nice = os.nice(0)
    for _ in range(_TRIES if nice > 0 else 0):
        try:
            _SHARE.write_text(str(nice))
            return
        except BlockingIOError:
            # All sessions together may be changed ten times a second.
            time.sleep(0.1)
        except OSError:
            return


def adopt_orphans() -> None:
    """Become the parent of whatever this process's descendants leave behind (Linux)."""
    _prctl(_SUBREAPER, 1)


def children() -> list[int]:
    """The ids of this process's children, those that have ended unseen included (Linux)."""
    me = str(os.getpid())
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            if path.read_bytes().rpartition(b")")[2].split()[1].decode() == me:
                found.append(int(path.parent.name))
    return found


def end_children() -> None:
    """Kill all children, and theirs as they are adopted."""
    end = time.monotonic() + _PATIENCE
    while (found := children()) and time.monotonic() < end:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def end_alike(status: int) -> NoReturn:
    """End this process as a child ended whose status `os.waitpid` returned; 255 becomes 254.

    By 255 multiprocessing tells that the server was killed that a process was forked from.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
        time.sleep(_PATIENCE)
    os._exit(min(os.waitstatus_to_exitcode(status), 254))
