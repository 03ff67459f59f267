"""What is finished, running, failed and missing in a run."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from vaebench.config.cell import MEASURED
from vaebench.config.effort import filled
from vaebench.config.settings import from_dict
from vaebench.config.yaml_files import read
from vaebench.errors import UserError, printable, short
from vaebench.execution.forecast import clock
from vaebench.registry import code
from vaebench.runs import files
from vaebench.runs.effort import covers
from vaebench.runs.lock import Stage, running, stages
from vaebench.runs.records import cells, plan
from vaebench.runs.schema import Record

STATES = ("finished", "trained", "running", "failed", "missing")


def summary(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The cells of a run by their state: ``id``, and what is known of each.

    Raises:
        UserError: The folder is not a run.
    """
    return _states(folder, _records(folder))


def _records(folder: Path) -> list[Record]:
    return cells(folder) if (folder / "cells").is_dir() else []


def _states(folder: Path, cells: list[Record]) -> dict[str, list[dict[str, Any]]]:
    if not (folder / "config.yaml").is_file():
        raise UserError(f"No run in {folder}: it holds no config.yaml; give the --out of a run.")
    planned, asked = plan(folder), _asked(folder)
    active, far = running(folder), stages(folder)
    found: dict[str, list[dict[str, Any]]] = {state: [] for state in STATES}
    records = {record["cell"]: record for record in cells}
    for name in map(printable, planned):
        record = records.get(name)
        if name in active:
            found["running"].append({"cell": name, **_progress(far.get(name))})
        elif record and record["status"] == "done":
            seconds = record["timings"].get("total")
            if left := _left(record, asked):
                found["trained"].append({"cell": name, "seconds": seconds, "reason": left})
            else:
                found["finished"].append({"cell": name, "seconds": seconds})
        elif record and record["status"] == "failed":
            found["failed"].append({"cell": name, "reason": record["reason"]})
        else:
            started = files.file(folder, f"cells/{name}/checkpoint", 2**50) is not None
            found["missing"].append({"cell": name, "checkpoint": started})
    return found


def _progress(stage: Stage | None) -> dict[str, Any]:
    """The stage of a running cell, and the seconds that are left of it where that can be told."""
    if stage is None:
        return {}
    done, total, spent = stage["done"], stage["total"], time.time() - stage["began"]
    even = stage["stage"] in ("training", "annealing") and 0 < done <= total
    left = {"left": round(spent * (total - done) / done)} if even else {}
    return {"stage": stage["stage"], "done": done, "total": total} | left


def _far(one: Mapping[str, Any]) -> str:
    if "stage" not in one:
        return ""
    left = f", at most {clock(one['left'])} left of it" if "left" in one else ""
    return f"{one['stage']} {one['done']} of {one['total']}{left}"


def _asked(folder: Path) -> dict[str, Any]:
    """What the run measures of every cell; empty where its settings cannot be read."""
    try:
        settings = from_dict(read(folder / "config.yaml")[0], "config.yaml")
    except UserError:
        return {}
    return {name: getattr(settings, name) for name in MEASURED if name != "extractor"}


def _left(record: Record, asked: Mapping[str, Any]) -> str:
    """What is still to be measured of a trained cell, in words; empty where nothing is."""
    if record["halted"]:
        return f"measuring was broken off: {record['halted']}"
    if count := len(record["missing"]):
        return f"{count} number{'' if count == 1 else 's'} to be measured"
    known, data = record["evaluation"], record["data"]
    asked = filled(asked, data.get("shape"), data.get("train"))
    return "more is to be measured" if known and asked and not covers(known, asked) else ""


def show(folder: Path, as_json: bool) -> None:
    """Print the state of a run.

    Raises:
        UserError: The folder is not a run.
    """
    if as_json:
        print(json.dumps(summary(folder), indent=1))
        return
    records = _records(folder)
    found = _states(folder, records)
    out = Console(soft_wrap=True, highlight=False, markup=False)
    for state in ("running", "trained", "failed", "missing"):
        for one in found[state]:
            more = (
                short(one.get("reason") or "")
                or _far(one)
                or ("has a checkpoint" if one.get("checkpoint") else "")
            )
            out.print(f"{state:8} {one['cell']}  {more}".rstrip())
    counted = [state for state in STATES if state != "trained" or found[state]]
    out.print(", ".join(f"{len(found[state])} {state}" for state in counted))
    if note := code.note(records):
        out.print(note)
