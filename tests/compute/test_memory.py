"""What is freed is kept for the next block."""

import os
import platform
import subprocess
import sys

import pytest

#: Pages that the kernel clears for twenty blocks of 40 MiB, each freed before the next.
FAULTS = """
import resource
from vaebench.compute.memory import keep_freed

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if {keep}:
    keep_freed()
size = 40 * 2**20
block = bytearray(size)
before = faults()
for _ in range(20):
    del block
    block = bytearray(size)
    for place in range(0, size, 4096):
        block[place] = 1
print(faults() - before)
"""


#: MiB of a process that has used and freed 200 MiB in small pieces, before and after it gives back
#: what is free.
HELD = """
from pathlib import Path
from vaebench.compute.memory import give_back, keep_freed

def held():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024

keep_freed()
pieces = [bytearray(b"1" * 2**16) for _ in range(3200)]
last = pieces[-1]
del pieces
before = held()
give_back()
print(before - held())
"""


def said(program: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
def test_freed_blocks_are_kept_instead_of_cleared_by_the_kernel_again() -> None:
    assert said(FAULTS.format(keep=False)) > 10 * said(FAULTS.format(keep=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
def test_what_is_kept_is_given_back_when_asked_for() -> None:
    assert said(HELD) > 150
