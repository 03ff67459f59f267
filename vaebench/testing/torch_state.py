"""The global settings of torch, which belong to the user and not to a plugin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributions import Distribution

_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "validation of distributions": (
        lambda: Distribution._validate_args,
        Distribution.set_default_validate_args,
    ),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "float32 matmul precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "anomaly detection": (
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
    ),
    "default device": (lambda: str(torch.get_default_device()), torch.set_default_device),
}


def snapshot() -> dict[str, Any]:
    """The settings by name."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


@contextmanager
def restored() -> Iterator[None]:
    """Put back every setting that was changed inside."""
    before = snapshot()
    try:
        yield
    finally:
        after = snapshot()
        for name, value in before.items():
            if after[name] != value:
                _SETTINGS[name][1](value)
