"""The device to compute on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vaebench.errors import UserError

#: By this Lightning has torch load NVIDIA's library whenever it asks for a GPU.
_BY_LIBRARY = "PYTORCH_NVML_BASED_CUDA_CHECK"


def find(name: str) -> torch.device:
    """The device of that name, ``auto`` being the accelerator if there is one, else the CPU.

    Raises:
        UserError: It does not exist here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(accelerator.type if accelerator else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"No device {name!r}; take auto, cpu, cuda, cuda:1 or mps.") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"--device {name} cannot be used here ({str(error).splitlines()[0]}); take auto or cpu."
        ) from error
    return device


def count(device: torch.device) -> int:
    """How many devices of this kind one training can be spread over; on a CPU, its cores."""
    if device.type == "cpu":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return torch.cuda.device_count() if device == torch.device("cuda") else 1


def of_rank(name: str, rank: int) -> torch.device:
    """The device of one of several ranks, where rank 0 has the device of that name."""
    return torch.device(name) if name == "cpu" else torch.device(name, rank)


@contextmanager
def known_absent() -> Iterator[None]:
    """Where there is no GPU, let torch find that out fast: its optimisers ask in every step."""
    asked = None if torch.cuda.is_available() else os.environ.pop(_BY_LIBRARY, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_BY_LIBRARY] = asked


def has_room(device: torch.device, size: int) -> bool:
    """Whether `size` bytes fit twice into what is free there; where that is unknown they do not."""
    if device.type == "cuda":
        return 2 * size <= torch.cuda.mem_get_info(device)[0]
    return device.type == "cpu"


def forget_peak(device: torch.device) -> None:
    """Begin to measure `peak_memory` anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass


def peak_memory(device: torch.device) -> float | None:
    """The most memory held since `forget_peak`, in MiB; None where that cannot be known.

    On a CPU it is that of the whole process, which holds torch itself.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) / 2**10 if device.type == "cpu" and found else None


def describe(device: torch.device) -> str:
    """The device's name for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
