"""How much memory is free. No torch."""

from contextlib import suppress
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


def free() -> int | None:
    """Bytes that this machine, or its share of it, has free; None where that cannot be known."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [2**10 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):
        found.append(int(_LIMIT.read_text()) - int(_USED.read_text()))
    return max(0, min(found)) if found else None
