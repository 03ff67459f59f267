"""Whether plugins are still what finished cells were trained with, without loading any of them."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vaebench.hookspecs import GROUP


def digest(file: str | None) -> str:
    """The code version of what is written in a file, empty without one."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""


def changed(records: Iterable[Mapping[str, Any]]) -> int:
    """How many finished cells were trained by other code than is installed now.

    Only plugins whose entry point is a module are known without loading them.
    """
    trained = [record["variant"] for record in records if record["status"] == "done"]
    wanted = {str(variant.get("plugin")) for variant in trained}
    installed = {
        point.name: _installed(point.module)
        for point in entry_points(group=GROUP)
        if point.name in wanted and not point.attr
    }
    return sum(
        _differ(str(variant.get("code", "")), installed.get(str(variant.get("plugin")), ""))
        for variant in trained
    )


def note(records: Iterable[Mapping[str, Any]]) -> str:
    """A sentence about such cells, empty if there are none."""
    count = changed(records)
    return (
        f"Finished cells of other code than is installed now: {count}; `vaebench run` computes "
        "them again."
        if count
        else ""
    )


def _differ(code: str, now: str) -> bool:
    mine = code.partition("+")[0]
    return bool(mine and now) and mine != now


def _installed(module: str) -> str:
    try:
        spec = find_spec(module)
        return digest(spec.origin if spec else None)
    # Finding a module runs the packages around it: a stranger's code.
    except Exception:
        return ""
