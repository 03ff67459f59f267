"""Precision: full float32, and networks that train with less.

Log-likelihoods of a thousand nats do not survive TF32 or bfloat16.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from vaebench.errors import UserError

#: The numbers that networks multiply in training, by the name of a precision.
_REDUCED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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


def verify(precision: str, device: torch.device) -> None:
    """UserError where a device cannot train with a precision."""
    kind = device.type
    able = {
        "32": True,
        "bf16-mixed": kind == "cpu" or (kind == "cuda" and torch.cuda.is_bf16_supported(False)),
        "16-mixed": kind == "cuda",
    }
    if not able[precision]:
        others = " or ".join(name for name in able if able[name])
        raise UserError(f"--precision {precision} cannot be had on {device}; take {others}.")


@contextmanager
def reduced(networks: Iterable[nn.Module], precision: str, device: torch.device) -> Iterator[None]:
    """Have networks compute in a smaller type while they train; what they return is float32.

    Weights, and everything outside the networks, stay float32, and so do networks in evaluation.

    Args:
        networks: Each is called with tensors, and returns one, or a dict of them.
        precision: ``32``, ``bf16-mixed`` or ``16-mixed``.
        device: Where they compute.
    """
    entered: list[Any] = []

    def enter(network: nn.Module, given: tuple[Any, ...]) -> None:
        smaller = torch.autocast(device.type, _REDUCED[precision], cache_enabled=False)
        entered.append(smaller if network.training else nullcontext())
        entered[-1].__enter__()

    def leave(network: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
        entered.pop().__exit__(None, None, None)
        if isinstance(made, dict):
            return {name: each.float() for name, each in made.items()}
        return made.float() if isinstance(made, Tensor) else made

    hooks = []
    if precision in _REDUCED:
        for network in networks:
            hooks.append(network.register_forward_pre_hook(enter))
            hooks.append(network.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
