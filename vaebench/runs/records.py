"""The cells of a run: what was asked for, and what has come of it.

A run holds one folder per cell under ``cells``. Other machines, older versions and interrupted
processes write there too, so a reader takes every result for damaged until it has been checked.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vaebench.config.cell import Cell
from vaebench.errors import UserError
from vaebench.runs import files

_NAME = re.compile(r"[A-Za-z][\w.\[\]=,+-]{0,99}")
_SECTIONS = ("config", "variant", "data", "metrics", "train", "timings", "versions", "hardware")
#: Of a planned cell, what is no setting of a finished one.
_ASIDE = ("data", "code")
_WAITING = "no result yet: the same command goes on from here"


def write(folder: Path, cells: Iterable[Cell]) -> None:
    """Write the cells that the run consists of, finished or not, as ``plan.json``."""
    files.write_json(folder / "plan.json", {"cells": {cell.id: cell.record() for cell in cells}})


def plan(run: Path) -> dict[str, Any]:
    """The settings of the cells in ``plan.json``, by their names.

    Raises:
        UserError: There is no such list.
    """
    cells = files.read_json(run / "plan.json").get("cells")
    if not isinstance(cells, dict):
        raise UserError(f"{run}/plan.json holds no cells; run the same command again.")
    return cells


def cells(run: Path | str, *, planned: bool = True) -> list[dict[str, Any]]:
    """The records of the cells of a run, sorted by name, each with every section present.

    A cell whose ``result.json`` cannot be believed is a record with status ``failed`` and the
    reason; one that has none yet has the status ``unfinished``.

    Args:
        run: The run's folder.
        planned: Leave out what its last command did not ask for, such as the cells of a plugin
            before its code was changed.

    Raises:
        UserError: The folder is no run.
    """
    names = [name for name in _folders(run) if name == files.printable(name)]
    asked = _planned(run) if planned else None
    return [_record(Path(run), name) for name in names if asked is None or name in asked]


def left_out(run: Path | str) -> int:
    """How many cells in the folder are no part of the run any more."""
    asked = _planned(run)
    return 0 if asked is None else sum(name not in asked for name in _folders(run))


def _folders(run: Path | str) -> list[str]:
    folder = Path(run) / "cells"
    if not folder.is_dir():
        raise UserError(f"No run in {run}: it holds no folder 'cells'; give the --out of a run.")
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def completed(run: Path | str) -> list[dict[str, Any]]:
    """The records of a run and of what it has not begun, sorted by name.

    Where ``plan.json`` names a cell without a record it becomes one with the status
    ``unfinished``, and a record whose settings are lost takes those that were planned.
    """
    found = {record["cell"]: record for record in cells(run)}
    for name, cell in (_planned(run) or {}).items():
        if not isinstance(cell, dict) or name != files.printable(Path(name).name):
            continue
        record = found.setdefault(name, _blank(name, "unfinished", _WAITING))
        if not record["config"]:
            known = files.printable(cell)
            config = {key: value for key, value in known.items() if key not in _ASIDE}
            found[name] = record | {"config": config, "data": {"hash": known.get("data")}}
    return [found[name] for name in sorted(found)]


def _planned(run: Path | str) -> dict[str, Any] | None:
    """What `plan` returns, None where a reader cannot have it."""
    try:
        return plan(Path(run)) if files.file(run, "plan.json") else None
    except UserError:
        return None


def _record(run: Path, cell: str) -> dict[str, Any]:
    path = run / "cells" / cell / "result.json"
    if not os.path.lexists(path):
        return _blank(cell, "unfinished", _WAITING)
    if files.file(run, f"cells/{cell}/result.json") is None:
        return _blank(cell, "failed", "result.json is no readable file inside the run")
    try:
        found = files.read_json(path)
        if "checksum" in found and found["checksum"] != files.checksum(found):
            return _blank(cell, "failed", "result.json was altered: run the cell again")
        if name := files.altered(path.parent, found):
            return _blank(cell, "failed", f"{name} was altered or truncated: run the cell again")
        return _checked(files.printable(found), cell)
    except UserError:
        return _blank(cell, "failed", "result.json is truncated or damaged: run the cell again")
    except (TypeError, ValueError) as error:
        return _blank(cell, "failed", f"result.json is not what vaebench writes: {error}")


def _blank(cell: str, status: str, reason: str) -> dict[str, Any]:
    blank: dict[str, Any] = {name: {} for name in _SECTIONS}
    return blank | {"cell": cell, "status": status, "reason": reason, "date": ""}


def _checked(result: dict[str, Any], cell: str) -> dict[str, Any]:
    """The result with the types that readers rely on; ValueError where that cannot be had."""
    if result.get("schema") != files.SCHEMA:
        raise ValueError(f"schema {result.get('schema')!r:.40}, this version reads {files.SCHEMA}")
    if result.get("status") not in ("done", "failed"):
        raise ValueError(f"status {result.get('status')!r:.40}")
    reason = result.get("reason")
    record = _blank(cell, result["status"], "" if reason is None else str(reason))
    for name in _SECTIONS:
        section = result.get(name) or {}
        if not isinstance(section, dict):
            raise ValueError(f"{name} is no object")
        record[name] = section
    record["date"] = str(result.get("date") or "")
    for name in (*record["config"], *record["metrics"]):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r:.60} is no name of a setting or metric")
    for name in record["config"].keys() & record["metrics"].keys():
        raise ValueError(f"{name!r:.60} is both a setting and a metric")
    record["metrics"] = {name: _metric(name, m) for name, m in record["metrics"].items()}
    return record


def _metric(name: str, metric: Any) -> dict[str, Any]:
    if not isinstance(metric, dict):
        raise ValueError(f"the metric {name} is no object")
    value, reason = files.number(metric.get("value")), metric.get("reason")
    if value is None and not reason:
        reason = "no finite number"
    depends = metric.get("depends")
    return {
        "value": value,
        "se": files.number(metric.get("se")),
        "n": files.number(metric.get("n")),
        "better": metric.get("better") if metric.get("better") in ("higher", "lower") else None,
        "unit": str(metric.get("unit") or ""),
        "title": str(metric.get("title") or name),
        "description": str(metric.get("description") or ""),
        "depends": depends if isinstance(depends, dict) else {},
        "detail": detail if isinstance(detail := metric.get("detail"), dict) else {},
        "reason": str(reason) if value is None else "",
        "warning": str(metric.get("warning") or ""),
    }
