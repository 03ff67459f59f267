"""Which plugins are installed, and their code, without running any of it. No torch."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vaebench.hookspecs import GROUP

#: The package whose plugins keep their names when a stranger's are called alike.
OWN = "vaebench"


def installed() -> dict[str, EntryPoint]:
    """The entry points of plugins by the names that they answer to, sorted.

    That is the entry point's own name, where no other package uses it or vaebench itself brings
    it, and else ``package:name``.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, package(point)))
    found: dict[str, EntryPoint] = {}
    for point in points:
        rivals = {package(other) for other in points if other.name == point.name}
        alone = len(rivals) == 1 or package(point) == OWN
        found.setdefault(point.name if alone else f"{package(point)}:{point.name}", point)
    return dict(sorted(found.items()))


def package(point: EntryPoint) -> str:
    """The name of the distribution that brings an entry point."""
    return str(point.dist.name) if point.dist else "unknown"


def digest(file: Path | str | None) -> str:
    """The code version of what is written in a file, empty without one."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""


def source(module: str) -> Path | None:
    """The file of a module, None where none is found; nothing is imported for it."""
    first, *rest = module.split(".")
    with suppress(ImportError, ValueError, AttributeError, OSError):
        # Of a name without a dot, which has no parents that would be imported.
        spec = find_spec(first)
        for depth in range(len(rest)):
            if spec is None or spec.submodule_search_locations is None:
                return None
            folders = list(spec.submodule_search_locations)
            spec = PathFinder.find_spec(".".join((first, *rest[: depth + 1])), folders)
        if spec is not None and spec.origin and spec.has_location:
            return Path(spec.origin)
    return None


def changed(records: Iterable[Mapping[str, Any]]) -> int:
    """How many finished cells were trained by other code than is installed now.

    Only plugins whose entry point is a module are known without loading them.
    """
    trained = [record["variant"] for record in records if record["status"] == "done"]
    wanted = {str(variant.get("plugin")) for variant in trained}
    now = {
        name: _now(point.module)
        for name, point in installed().items()
        if name in wanted and not point.attr
    }
    return sum(
        _differ(str(variant.get("code", "")), now.get(str(variant.get("plugin")), ""))
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


def _now(module: str) -> str:
    try:
        return digest(source(module))
    except OSError:
        return ""
