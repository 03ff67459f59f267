"""Full float32: log-likelihoods of a thousand nats do not survive TF32 or bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _switches() -> list[Any]:
    backends: Any = torch.backends
    owners = (
        backends.cuda.matmul,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.mkldnn.matmul,
        backends.mkldnn.conv,
        backends.mkldnn.rnn,
    )
    return [owner for owner in owners if hasattr(owner, "fp32_precision")]


@contextmanager
def _float32_as_written() -> Iterator[None]:
    """The switches of torch >= 2.9, one for each kind of operation, and the older two."""
    switches = _switches() if hasattr(torch.backends.cudnn, "conv") else []
    saved = [switch.fp32_precision for switch in switches]
    older: dict[str, Any] = {}
    try:
        older["matmul"] = torch.get_float32_matmul_precision()
        older["cudnn"] = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # torch refuses to sum up a mixture of settings
        pass
    try:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        if "matmul" in older:
            torch.set_float32_matmul_precision(older["matmul"])
        if "cudnn" in older:
            torch.backends.cudnn.allow_tf32 = older["cudnn"]
        for switch, value in zip(switches, saved, strict=True):
            switch.fp32_precision = value


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in the tensors' own precision on `device`; the caller's settings come back after.

    Neither TF32 nor bfloat16 products, and no autocast around the block.
    """
    with _float32_as_written(), torch.autocast(device.type, enabled=False):
        yield
