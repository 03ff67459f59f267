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


def faults(keep: bool) -> int:
    found = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)],
        env={k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
def test_freed_blocks_are_kept_instead_of_cleared_by_the_kernel_again() -> None:
    assert faults(keep=False) > 10 * faults(keep=True)
