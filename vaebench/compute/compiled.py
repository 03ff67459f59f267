"""Networks that torch.compile makes one program of while they train."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution


@contextmanager
def validating_as_before() -> Iterator[None]:
    """Let distributions check their parameters as before, which torch.compile changes for all."""
    before = Distribution._validate_args
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class _Compiled:
    """A network's forward that is compiled where it trains, and as written where it does not."""

    def __init__(self, network: nn.Module, failed: Callable[[str], None]) -> None:
        self.network = network
        self.failed = failed
        self.written: Any = network.forward
        with validating_as_before():
            self.program: Any = torch.compile(self.written)

    def __call__(self, *given: Any) -> Any:
        if not self.network.training or self.program is None:
            return self.written(*given)
        with validating_as_before():
            from torch._dynamo.exc import TorchDynamoException  # loads all of the compiler

            try:
                return self.program(*given)
            except TorchDynamoException as error:
                self.program = None
                self.failed(str(error).strip().splitlines()[0])
        return self.written(*given)


@contextmanager
def compiled(networks: Iterable[nn.Module], yes: bool = True) -> Iterator[list[str]]:
    """Compile networks for training; in evaluation they compute as they are written.

    Args:
        networks: They are called with tensors.
        yes: Whether to do so.

    Yields:
        Why each network that could not be compiled computes as it is written.
    """
    reasons: list[str] = []
    changed = list(networks) if yes else []
    for network in changed:
        network.forward = _Compiled(network, reasons.append)
    try:
        yield reasons
    finally:
        for network in changed:
            del network.forward
