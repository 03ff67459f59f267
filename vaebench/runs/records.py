"""The cells of a run: what was asked for, and what has come of it.

A run holds one folder per cell under ``cells``. Other machines, older versions and interrupted
processes write there too, so a reader takes every result for damaged until it has been checked.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vaebench.config.cell import Cell
from vaebench.config.metric import COLUMN, SUFFIXES
from vaebench.errors import UserError, printable
from vaebench.runs import files
from vaebench.runs.described import described
from vaebench.runs.older import efforts, separated, symbol, upgraded
from vaebench.runs.schema import (
    SCHEMA,
    DataRecord,
    Detail,
    MetricRecord,
    Record,
    TrainRecord,
    VariantRecord,
    blank,
    fits,
    known,
    number,
)

#: Of a planned cell, what is not a setting of a finished one.
_ASIDE = ("data", "code")
#: Entries of a section, such as settings or metrics.
_MOST = 1000
_WAITING = "no result yet: the same command goes on from here"


def write(folder: Path, cells: Iterable[Cell]) -> None:
    """Write the cells that the run consists of, finished or not, as ``plan.json``."""
    files.write_json(folder / "plan.json", {"cells": {cell.id: cell.record() for cell in cells}})


def adopt(folder: Path, cells: Iterable[Cell]) -> None:
    """Give the folders of cells that older versions have named their present names.

    Such a name says the same training if its record does: what was measured was a part of it.
    """
    planned = {cell.id for cell in cells if not (folder / "cells" / cell.id).exists()}
    for name in _folders(folder) if planned and (folder / "cells").is_dir() else ():
        record = one(folder, name)
        wanted = identity(record)
        if record["status"] != "done" or (folder / "cells" / name).is_symlink():
            continue
        if wanted in planned and wanted != name:
            planned.remove(wanted)
            (folder / "cells" / name).rename(folder / "cells" / wanted)


def identity(record: Record) -> str:
    """The name that a cell with this record has now; its own where the record does not say it."""
    try:
        return described(record)[0].id
    except UserError:
        return record["cell"]


def plan(run: Path) -> dict[str, Any]:
    """The settings of the cells in ``plan.json``, by their names.

    Raises:
        UserError: There is no such list.
    """
    cells = files.read_json(run / "plan.json").get("cells")
    if not isinstance(cells, dict):
        raise UserError(f"{run}/plan.json holds no cells; run the same command again.")
    return cells


def cells(run: Path | str, *, planned: bool = True) -> list[Record]:
    """The records of the cells of a run, sorted by name, each with every section present.

    A cell whose ``result.json`` cannot be believed is a record with status ``failed`` and the
    reason; one that has none yet has the status ``unfinished``.

    Args:
        run: The run's folder.
        planned: Leave out what its last command did not ask for, such as the cells of a plugin
            before its code was changed.

    Raises:
        UserError: The folder is not a run.
    """
    names = [name for name in _folders(run) if name == printable(name)]
    asked = _planned(run) if planned else None
    return [one(Path(run), name) for name in names if asked is None or name in asked]


def left_out(run: Path | str) -> Counter[str]:
    """How many cells in the folder are not part of the run any more, by what they are of."""
    asked = _planned(run)
    if asked is None:
        return Counter()
    planned = [cell for cell in asked.values() if isinstance(cell, dict)]
    gone = [one(Path(run), name) for name in _folders(run) if name not in asked]
    return Counter(_other(record, planned) for record in gone)


def _other(record: Record, planned: list[dict[str, Any]]) -> str:
    """What a cell is of that is no part of the run: other pictures, code or settings."""
    config, pictures = record["config"], record["data"].get("hash")
    alike = [
        cell
        for cell in planned
        if all(cell.get(key) == config.get(key) for key in ("dataset", "image_size"))
    ]
    if alike and pictures and all(cell.get("data") != pictures for cell in alike):
        return "other pictures than are there now"
    code = record["variant"].get("code")
    same = [cell for cell in alike if cell.get("plugin") == config.get("plugin")]
    if same and code and all(cell.get("code") != code for cell in same):
        return "other code than is installed now"
    return "other code or settings"


def _folders(run: Path | str) -> list[str]:
    try:
        with os.scandir(Path(run) / "cells") as found:
            return sorted(entry.name for entry in found if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"No run in {run}: it holds no folder 'cells'; give the --out of a run."
        ) from error
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}).") from error


def completed(run: Path | str) -> list[Record]:
    """The records of a run and of what it has not begun, sorted by name.

    Where ``plan.json`` names a cell without a record it becomes one with the status
    ``unfinished``, and a record whose settings are lost takes those that were planned.
    """
    found = {record["cell"]: record for record in cells(run)}
    for name, cell in (_planned(run) or {}).items():
        if not isinstance(cell, dict) or name != printable(Path(name).name):
            continue
        record = found.setdefault(name, blank(name, "unfinished", _WAITING))
        if not record["config"]:
            asked, _ = separated(printable(cell))
            record["config"] = {key: value for key, value in asked.items() if key not in _ASIDE}
            record["data"] = known(DataRecord, {"hash": asked.get("data")})
    return [found[name] for name in sorted(found)]


def _planned(run: Path | str) -> dict[str, Any] | None:
    """What `plan` returns, None where a reader cannot have it."""
    try:
        return plan(Path(run)) if files.file(run, "plan.json") else None
    except UserError:
        return None


def one(run: Path, cell: str) -> Record:
    """The record of a cell of a run, of which nothing needs to be there."""
    path = run / "cells" / cell / "result.json"
    try:
        os.lstat(path)
        if files.file(run, f"cells/{cell}/result.json") is None:
            return blank(cell, "failed", "result.json is not a readable file inside the run")
        open(path, "rb", buffering=0).close()
    except (FileNotFoundError, NotADirectoryError):
        return blank(cell, "unfinished", _WAITING)
    except OSError as error:
        return blank(cell, "failed", f"result.json cannot be read ({error.strerror})")
    try:
        found = files.read_json(path)
        if "checksum" in found and found["checksum"] != files.checksum(found):
            return blank(cell, "failed", "result.json was altered: run the cell again")
        if name := files.altered(path.parent, found):
            return blank(cell, "failed", f"{name} was altered or truncated: run the cell again")
        return _checked(printable(found), cell)
    except UserError:
        return blank(cell, "failed", "result.json is truncated or damaged: run the cell again")
    except (TypeError, ValueError) as error:
        return blank(cell, "failed", f"result.json is not what vaebench writes: {error}")


def _checked(found: dict[str, Any], cell: str) -> Record:
    """The result with the types that readers rely on; ValueError where that cannot be had."""
    if found.get("schema") != SCHEMA:
        raise ValueError(f"schema {found.get('schema')!r:.40}, this version reads {SCHEMA}")
    status, reason = found.get("status"), found.get("reason")
    if status not in ("done", "failed"):
        raise ValueError(f"status {status!r:.40}")
    record = blank(cell, status, "" if reason is None else str(reason))
    record["date"] = str(found.get("date") or "")
    record["config"], before = separated(_section(found, "config"))
    record["evaluation"] = _section(found, "evaluation") or before
    missing = found.get("missing")
    record["missing"] = list(missing) if missing and fits(missing, list[str]) else []
    record["halted"] = str(found.get("halted") or "")
    record["variant"] = known(VariantRecord, _section(found, "variant"))
    record["data"] = known(DataRecord, _section(found, "data"))
    record["train"] = known(TrainRecord, _section(found, "train"))
    timings, versions = _section(found, "timings"), _section(found, "versions")
    record["timings"] = {key: value for key, value in timings.items() if fits(value, float)}
    record["versions"] = {key: value for key, value in versions.items() if fits(value, str)}
    record["hardware"] = _section(found, "hardware")
    captions = _section(found, "captions")
    if kept := {key: value for key, value in captions.items() if fits(value, list[str])}:
        record["captions"] = kept
    metrics = _section(found, "metrics")
    _check_names(record["config"], metrics)
    metrics = upgraded(metrics)
    metrics = efforts(metrics, before) if before else metrics
    record["metrics"] = {name: _metric(name, metric) for name, metric in metrics.items()}
    return record


def _check_names(config: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Raise ValueError for what cannot be the columns of one table."""
    for name in (*config, *metrics):
        if not COLUMN.fullmatch(name):
            raise ValueError(f"{name!r:.60} is not a name of a setting or metric")
    for name, metric in metrics.items():
        if name in config:
            raise ValueError(f"{name!r:.60} is both a setting and a metric")
        if name.endswith(SUFFIXES):
            raise ValueError(f"{name!r:.60} is the name of an error or an interval")
        if not isinstance(metric, dict):
            raise ValueError(f"the metric {name} is not an object")


def _section(found: dict[str, Any], name: str) -> dict[str, Any]:
    section = found.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"{name} is not an object")
    if len(section) > _MOST:
        raise ValueError(f"{name} has {len(section)} entries, more than {_MOST}")
    return section


def _metric(name: str, found: dict[str, Any]) -> MetricRecord:
    metric = known(MetricRecord, found)
    value, reason, detail = number(metric.get("value")), metric.get("reason"), found.get("detail")
    if value is None and not reason:
        reason = "no finite number"
    return {
        "metric": metric.get("metric") or name,
        "extractor": metric.get("extractor") or "",
        "k": metric.get("k"),
        "title": metric.get("title") or name,
        "unit": metric.get("unit") or "",
        "better": metric.get("better"),
        "description": metric.get("description") or "",
        "head": metric.get("head") or "",
        "symbol": symbol(metric),
        "place": metric.get("place"),
        "keep": metric.get("keep") or 0,
        "error": metric.get("error") or False,
        "role": metric.get("role"),
        "reference": metric.get("reference") or "",
        "value": value,
        "se": number(metric.get("se")),
        "n": number(metric.get("n")),
        "depends": metric.get("depends") or {},
        "detail": known(Detail, detail if isinstance(detail, dict) else {}),
        "reason": reason if value is None else "",
        "warning": metric.get("warning") or "",
        "trusted": metric.get("trusted", True),
        "failed": metric.get("failed") or False,
    }
