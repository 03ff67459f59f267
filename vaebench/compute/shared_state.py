"""What a whole process shares, read and put back around code that may change it."""

import builtins
import gc
import locale
import logging
import operator
import os
import random
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution


@dataclass(frozen=True)
class State:
    """One thing that a process shares.

    Attributes:
        name: What it is called in a sentence.
        read: Returns its value.
        put: Sets it to a value that was read before.
        same: Whether the first value, read before, still holds where the second is read.
    """

    name: str
    read: Callable[[], Any]
    put: Callable[[Any], Any]
    same: Callable[[Any, Any], bool] = operator.eq


def _keeps(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return all(now.get(key) is value for key, value in before.items())


def _attributes(module: Any, *names: str) -> State:
    return State(
        ", ".join(f"{module.__name__}.{name}" for name in names),
        lambda: {name: getattr(module, name) for name in names},
        vars(module).update,
        _keeps,
    )


def _list(module: Any, name: str) -> State:
    def put(before: list[Any]) -> None:
        getattr(module, name)[:] = before

    return State(f"{module.__name__}.{name}", lambda: list(getattr(module, name)), put)


def _put_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _folder() -> str | None:
    with suppress(OSError):
        return os.getcwd()
    return None


def _put_folder(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _put_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def _handlers() -> dict[Any, Any]:
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    return {number: handler for number, handler in found.items() if handler is not None}


def _put_handlers(before: dict[Any, Any]) -> None:
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _put_warnings(before: list[Any]) -> None:
    warnings.resetwarnings()
    warnings.filters[:] = before  # type: ignore[index]


def _mask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_NOFILE)


def _put_limits(before: dict[int, tuple[int, int]]) -> None:
    for name, limits in before.items():
        resource.setrlimit(name, limits)


def _root() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, root.manager.disable, list(root.handlers)


def _put_root(before: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.level, root.manager.disable, root.handlers[:] = before


#: What every model is made of: who sets one of these attributes changes all models.
_PATCHABLE = (
    torch,
    torch.nn.functional,
    torch.special,
    torch.linalg,
    torch.autograd,
    torch.Tensor,
    torch.nn.Module,
    torch.nn.Linear,
    Distribution,
)
#: What libraries wrap when they are imported, and still does the same.
_WRAPPED = {"compile", "manual_seed"}


def _held(it: Any) -> dict[str, Any]:
    """The attributes of a module, or of a class with those that it inherits."""
    found: dict[str, Any] = {}
    for each in reversed(getattr(it, "__mro__", [it])):
        found.update(vars(each))
    return found


def _functions() -> dict[tuple[Any, str], Any]:
    """Callables of torch, by what has them and their names."""
    return {
        (it, name): function
        for it in _PATCHABLE
        for name, function in _held(it).items()
        if callable(function) and name not in _WRAPPED
    }


def _put_functions(before: dict[tuple[Any, str], Any]) -> None:
    for (it, name), function in before.items():
        if name in vars(it) and vars(it)[name] is not function:
            delattr(it, name)  # what hides an inherited one
        if _held(it).get(name) is not function:
            setattr(it, name, function)


def _hooks() -> dict[str, dict[Any, Any]]:
    """torch's hooks of all modules, by the names of their registers."""
    registers = vars(torch.nn.modules.module).items()
    return {k: dict(v) for k, v in registers if k.startswith("_global_") and isinstance(v, dict)}


def _put_hooks(before: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in before.items():
        register = getattr(torch.nn.modules.module, name)
        register.clear()
        register.update(hooks)


STATES = (
    State("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    State("torch's default device", torch.get_default_device, _put_device),
    State("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
    State("torch's anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    State(
        "torch's choice of algorithms",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    State(
        "the precision of torch's products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    State("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    State(
        "how torch.distributions validate",
        lambda: Distribution._validate_args,
        Distribution.set_default_validate_args,
    ),
    State("torch's functions", _functions, _put_functions, _keeps),
    State("torch's hooks of all modules", _hooks, _put_hooks),
    State("torch's random state", torch.get_rng_state, torch.set_rng_state, torch.equal),
    State(
        "NumPy's random state",
        lambda: np.random.get_state(legacy=True),
        np.random.set_state,
        lambda before, now: all(map(np.array_equal, before, now)),
    ),
    State("NumPy's handling of errors", np.geterr, lambda before: np.seterr(**before)),
    State("Python's random state", random.getstate, random.setstate),
    State("the working directory", _folder, _put_folder),
    State("the environment", lambda: dict(os.environ), _put_environment),
    State("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _list(sys, "path"),
    _list(sys, "meta_path"),
    _list(sys, "path_hooks"),
    State("loaded modules", lambda: dict(sys.modules), sys.modules.update, _keeps),
    State("built-in names", lambda: dict(vars(builtins)), vars(builtins).update, _keeps),
    State("signal handlers", _handlers, _put_handlers),
    State(
        "the alarm clock",
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        lambda armed: armed or signal.setitimer(signal.ITIMER_REAL, 0),
    ),
    State("the filters of warnings", lambda: list(warnings.filters), _put_warnings),
    _attributes(sys, "stdin", "stdout", "stderr", "excepthook", "unraisablehook"),
    _attributes(threading, "excepthook"),
    State("the tracing function", sys.gettrace, sys.settrace),
    State("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    State("the root logger", _root, _put_root),
    State(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
    ),
    State("the mask of file modes", _mask, os.umask),
    State(
        "limits of resources",
        lambda: {name: resource.getrlimit(name) for name in _LIMITS},
        _put_limits,
    ),
)
_STANDARD = (0, 1, 2)


@contextmanager
def kept() -> Iterator[list[str]]:
    """Put back what a process shares, and say what was changed.

    Descriptors 0 to 2, and everything in `STATES`: torch's settings, random states, the working
    directory, environment, paths and modules of imports, signal handlers and the like.

    Yields:
        A list that holds afterwards the names of what was changed, and of threads left running.

    Raises:
        RuntimeError: Something could not be put back; the text names it.
    """
    before = [state.read() for state in STATES]
    threads = set(threading.enumerate())
    changed: list[str] = []
    with ExitStack() as stack:
        files = {number: stack.enter_context(_copy(number)) for number in _STANDARD}
        try:
            yield changed
        finally:
            for number, copy in files.items():
                if copy is not None and _identity(number) != _identity(copy):
                    changed.append(f"descriptor {number}")
                    os.dup2(copy, number)
            lost = [
                state.name
                for state, value in zip(STATES, before, strict=True)
                if not state.same(value, state.read()) and not _put(state, value, changed)
            ]
            changed += [f"a thread, {t.name}" for t in threading.enumerate() if t not in threads]
    if lost:
        raise RuntimeError(f"changes {', '.join(lost)} for good")


def _put(state: State, value: Any, changed: list[str]) -> bool:
    """Set a state to its old value; whether it has that now."""
    changed.append(state.name)
    # Some cannot be put back from every thread, or by every user.
    with suppress(Exception):
        state.put(value)
    return state.same(value, state.read())


@contextmanager
def _copy(number: int) -> Iterator[int | None]:
    """A copy of a descriptor, None where it is closed."""
    try:
        copy = fcntl(number, F_DUPFD_CLOEXEC, 64)
    except OSError:
        yield None
        return
    try:
        yield copy
    finally:
        with suppress(OSError):
            os.close(copy)


def _identity(number: int) -> tuple[int, ...] | None:
    with suppress(OSError):
        found = os.fstat(number)
        return found.st_dev, found.st_ino, found.st_rdev
    return None
