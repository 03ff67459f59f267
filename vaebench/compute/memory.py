"""How much memory is free, and when freed memory is kept. No torch."""

import ctypes
from contextlib import suppress
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")
#: Options of glibc's mallopt with their values, the first that it accepts: blocks as large as that
#: come from the heap, and the heap shrinks when as much is free at its end.
_KEPT = {-3: (2**30, 2**25), -1: (2**31 - 1,)}


def free() -> int | None:
    """Bytes that this machine, or its share of it, has free; None where that cannot be known."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [2**10 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):
        found.append(int(_LIMIT.read_text()) - int(_USED.read_text()))
    return max(0, min(found)) if found else None


def give_back() -> None:
    """Give what is free back to the kernel, where glibc is.

    Between two phases that take memory of other sizes: what one has left in pieces, the next
    would take beside them.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed() -> None:
    """Keep freed blocks for the next ones, where glibc is: this process, and what it forks.

    By default glibc maps each block of more than 32 MiB anew, smaller ones at first, and gives
    free ends of its heap back: the kernel then clears the same pages for each step of a training.
    Up to 2 GiB that are free stay with the process.
    """
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018
        for option, values in _KEPT.items():
            any(libc.mallopt(option, value) for value in values)
