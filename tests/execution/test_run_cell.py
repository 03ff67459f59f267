import errno
import os

import pytest
import torch

from vaebench.execution.run_cell import of_machine


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EMFILE])
def test_a_full_disk_and_the_like_are_the_machines_fault(code):
    assert of_machine(OSError(code, os.strerror(code)))


def test_memory_that_ran_out_is_the_machines_fault_unless_it_was_limited(monkeypatch):
    errors = (
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        OSError(errno.ENOMEM, "no memory"),
    )
    assert all(map(of_machine, errors))
    monkeypatch.setattr("resource.getrlimit", lambda what: (2**30, 2**30))
    assert not any(map(of_machine, errors))


@pytest.mark.parametrize(
    "error", [ValueError("no"), FileNotFoundError(errno.ENOENT, "no"), RuntimeError("no")]
)
def test_other_errors_are_the_cells(error):
    assert not of_machine(error)
