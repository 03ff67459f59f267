"""The cells that a run was asked for and that have no result yet."""

from pathlib import Path
from typing import Any

from vaebench import store
from vaebench.errors import UserError

#: Of a planned cell, what is no setting of a finished one.
_ASIDE = ("data", "code")
_REASON = "no result yet: the same command goes on from here"
_SECTIONS = ("variant", "metrics", "train", "timings", "versions", "hardware")


def completed(run: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of a run and of what it has not begun, sorted by name.

    Where ``plan.json`` names a cell without a record it becomes one with the status
    ``unfinished``, and a record whose settings are lost takes those that were planned.
    """
    found = {record["cell"]: record for record in records}
    for name, cell in _planned(run).items():
        record = found.setdefault(name, _blank(name))
        if not record["config"]:
            config = {key: value for key, value in cell.items() if key not in _ASIDE}
            found[name] = record | {"config": config, "data": {"hash": cell.get("data")}}
    return [found[name] for name in sorted(found)]


def _planned(run: Path) -> dict[str, dict[str, Any]]:
    """The settings of each planned cell; empty where there is no plan to read."""
    path = store.file(run, "plan.json")
    try:
        cells = store.read_json(path).get("cells") if path else None
    except UserError:
        return {}
    items = cells.items() if isinstance(cells, dict) else ()
    return {
        name: store.printable(cell)
        for name, cell in items
        if isinstance(cell, dict) and name == store.printable(Path(name).name)
    }


def _blank(name: str) -> dict[str, Any]:
    blank: dict[str, Any] = {section: {} for section in ("config", "data", *_SECTIONS)}
    return blank | {"cell": name, "status": "unfinished", "reason": _REASON, "date": ""}
