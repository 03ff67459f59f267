"""Training steps on a GPU that are recorded once and played again, without Python in between.

A step of a small network is a few hundred kernels of a few microseconds each, and a GPU waits for
Python to name the next one. A CUDA graph names them all at once: the same kernels on the same
numbers, in a fraction of the time.
"""

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench.compute.compiled import validating_as_before
from vaebench.compute.random import undisturbed
from vaebench.models.items import Items

#: Means by name, and what the step counted.
Made = tuple[dict[str, Tensor], int]
#: Puts gradients in place for stored items and the items as a model meets them.
Step = Callable[[Tensor, Items], Made]
#: Steps of other shapes or KL weights that are kept beside each other.
_MOST = 16
#: How far a played gradient may be from a computed one, in parts of its norm.
_CLOSE = 1e-3


def on_gpu(step: Callable[[], Made]) -> tuple[Made, Callable[[], None]]:
    """Record a step whose kernels have run before: what it returns, and how to play it again."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = step()
    return made, graph.replay


@contextmanager
def without_chance() -> Iterator[None]:
    """Raise where a step draws random numbers on the CPU, which a recording would repeat."""

    def states() -> tuple[Any, ...]:
        _, keys, place, *_ = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), list(keys), place

    before = states()
    yield
    if states() != before:
        raise ValueError("the step draws random numbers on the CPU")


@contextmanager
def unsynchronised() -> Iterator[None]:
    """Raise where a step waits for the GPU, which no recording can; run it beside the stream."""
    ahead = torch.cuda.Stream()
    ahead.wait_stream(torch.cuda.current_stream())
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.stream(ahead), without_chance():
            yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
        torch.cuda.current_stream().wait_stream(ahead)


@dataclass(frozen=True)
class _Played:
    """A recorded step with the memory that it reads and writes."""

    given: list[Tensor]
    made: Made
    gradients: list[tuple[nn.Parameter, Tensor]]
    play: Callable[[], None]

    def __call__(self, given: list[Tensor]) -> Made:
        for place, value in zip(self.given, given, strict=True):
            place.copy_(value, non_blocking=True)
        self.play()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.made


class Recording:
    """A step that is computed at first, recorded when its like comes again, and then played.

    Steps are alike whose tensors have the same shapes and whose KL weight is the same. A recorded
    step is played once and compared with the step computed from the same random state; where it
    cannot be recorded, or does not come out the same, all steps are computed.

    Args:
        step: Puts a gradient in place for each parameter; what it returns is read at once. It may
            draw random numbers and change buffers.
        modules: Hold all parameters and buffers.
        record: Records a step.
        ahead: A context for a try of the step before it is recorded, which raises where it cannot
            be.

    Attributes:
        reason: Why steps are not recorded; empty as long as they are.
    """

    def __init__(
        self,
        step: Step,
        modules: nn.Module,
        record: Callable[[Callable[[], Made]], tuple[Made, Callable[[], None]]] = on_gpu,
        ahead: Callable[[], Any] = unsynchronised,
    ) -> None:
        self.step = step
        self.modules = modules
        self.record = record
        self.ahead = ahead
        self.reason = ""
        self._met: set[Any] = set()
        self._played: dict[Any, _Played] = {}

    def __call__(self, stored: Tensor, x: Items, kl_weight: float) -> Made:
        """What the step returns, with the gradients of the parameters in place."""
        given = _tensors(stored, x)
        like = (kl_weight, *((value.shape, value.dtype) for value in given))
        if like in self._met and like not in self._played and len(self._played) < _MOST:
            self._try(like, stored, x)
        self._met.add(like)
        if self.reason or like not in self._played:
            return self.step(stored, x)
        return self._played[like](given)

    def _try(self, like: Any, stored: Tensor, x: Items) -> None:
        """Record steps like this one, or say why that cannot be."""
        if self.reason:
            return
        try:
            with validating_as_before():
                # Each check of a parameter waits for the GPU.
                Distribution.set_default_validate_args(False)
                played = self._recorded(stored, x)
        # A plugin is a stranger's code, which may do what no recording can.
        except Exception as error:
            self.reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self._played.clear()
            gc.collect()
        else:
            self._played[like] = played

    def _recorded(self, stored: Tensor, x: Items) -> _Played:
        still = stored.clone()
        items = x.map(torch.clone)
        with self._as_before(), self.ahead():
            for _ in range(2):
                self.step(still, items)
        with self._as_before():
            self._forget()
            made, play = self.record(lambda: self.step(still, items))
            gradients = [(p, p.grad) for p in self.modules.parameters() if p.grad is not None]
        played = _Played(_tensors(still, items), made, gradients, play)
        given = _tensors(stored, x)
        with self._as_before():
            played(given)
            found = self._gradient()
        with self._as_before():
            self.step(stored, x)
            wanted = self._gradient()
        if not torch.linalg.vector_norm(found - wanted) <= _CLOSE * wanted.norm():
            raise ValueError("played again, the step has other gradients than computed anew")
        return played

    def _forget(self) -> None:
        for parameter in self.modules.parameters():
            parameter.grad = None

    def _gradient(self) -> Tensor:
        """All gradients one after the other."""
        found = [p.grad.flatten() for p in self.modules.parameters() if p.grad is not None]
        return torch.cat(found).clone()

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        """Put buffers and random states back afterwards."""
        buffers = list(self.modules.buffers())
        kept = [buffer.clone() for buffer in buffers]
        with undisturbed():
            yield
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)


def _tensors(stored: Tensor, x: Items) -> list[Tensor]:
    found = [stored]

    def add(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    x.map(add)
    return found
