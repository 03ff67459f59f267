"""Runs work in a process that ends with its driver, and with everything that it has started.

A guardian runs no plugin's code. It forks the process that does, follows the driver, keeps the
log within bounds, and ends all descendants, whatever these think of signals, terminals or the GIL.
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, NoReturn

from vaebench.compute.processes import (
    adopt_orphans,
    end_alike,
    end_children,
    end_with_parent,
    lead_session,
)

#: Bytes that a log may have; of more, both ends are kept.
LARGEST = 10 * 2**20
_CHUNK = 2**16
#: Signals that a guardian waits for: to give up, and of a child that has ended.
_AWAITED = (signal.SIGTERM, signal.SIGCHLD)


class Log:
    """Appends to a file, and keeps both ends of what is written to it.

    Args:
        path: The file.
        largest: Bytes that are kept.
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self.file: IO[bytes] = path.open("ab", buffering=0)
        self.half = largest // 2
        self.room = max(0, self.half - self.file.tell())
        self.end = bytearray()
        self.lost = 0

    def write(self, text: bytes) -> None:
        """Take up more; what does not fit at the beginning waits for `close`."""
        first, rest = text[: self.room], text[self.room :]
        self.room -= len(first)
        self._put(first)
        self.end += rest
        # Not at each write, which would move the whole end for a few bytes.
        if len(self.end) > 2 * self.half:
            self._shorten()

    def close(self) -> None:
        """Write the end."""
        self._shorten()
        if self.lost:
            self._put(f"\n… {self.lost} bytes of the log are left out …\n".encode())
        self._put(bytes(self.end))
        self.file.close()

    def _shorten(self) -> None:
        more = max(0, len(self.end) - self.half)
        del self.end[:more]
        self.lost += more

    def _put(self, text: bytes) -> None:
        # A full disk costs the log, not the cell.
        with suppress(OSError):
            self.file.write(text)


def guard(work: Callable[[], Any], log: Path | None = None) -> NoReturn:
    """Call `work` in a child of this process, and end as the child ends.

    Args:
        work: Runs with a folder of its own for temporary files, in a session of its own.
        log: Takes up what it prints; by default that goes to standard error.

    Raises:
        OSError: The log cannot be written.
    """
    signals = _signals()
    end_with_parent(os.getppid(), signal.SIGTERM)
    adopt_orphans()
    me = os.getpid()
    with tempfile.TemporaryDirectory(prefix="vaebench-", ignore_cleanup_errors=True) as temporary:
        kept, read, output = None, None, None
        if log is not None:
            kept = Log(log)
            read, output = os.pipe()
        child = os.fork()
        if not child:
            _become(work, me, temporary, output)
        if output is not None:
            os.close(output)
        _follow(child, signals, read, kept)
        status = _end(child)
        if read is not None and kept is not None:
            _drain(read, kept)
    end_alike(status)


def _signals() -> int:
    """The end of a pipe that tells of signals, which raise nothing in whatever they interrupt."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in _AWAITED:
        signal.signal(number, lambda *_: None)
    return read


def _become(work: Callable[[], Any], guardian: int, temporary: str, output: int | None) -> NoReturn:
    """Be the process that works."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _AWAITED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_with_parent(guardian)
        lead_session()
        os.environ["TMPDIR"] = tempfile.tempdir = temporary
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            # Whatever the terminal's encoding is: a letter must not cost a cell.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
        if output is not None:
            os.dup2(output, 2)
        # Standard output is the command's own.
        os.dup2(2, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Without waiting for threads that a plugin has left.
        os._exit(code)


def _follow(child: int, signals: int, read: int | None, log: Log | None) -> None:
    """Return once the child has ended, or is to; take up what is printed meanwhile."""
    driver = parent_process()
    handles = [signals, driver.sentinel if driver else None, read]
    while True:
        ready = wait([handle for handle in handles if handle is not None])
        if read in ready and read is not None and log is not None:
            if text := os.read(read, _CHUNK):
                log.write(text)
            else:
                handles.remove(read)
        if driver and driver.sentinel in ready:
            return
        if signals in ready and (signal.SIGTERM in os.read(signals, _CHUNK) or _has_ended(child)):
            return


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> int:
    """Kill the child and whatever it has started; its status."""
    for kill in (os.kill, os.killpg):
        with suppress(OSError):
            kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    end_children()
    return status


def _drain(read: int, log: Log) -> None:
    """Take up what is left in a pipe, and close the log."""
    os.set_blocking(read, False)
    with suppress(BlockingIOError):
        while text := os.read(read, _CHUNK):
            log.write(text)
    log.close()
