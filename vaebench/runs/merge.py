"""Joins runs that were made on different machines into one. No torch."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from vaebench.config.cell import EFFORT, MEASURED, SETTINGS, TRAINED
from vaebench.config.settings import Settings, from_dict
from vaebench.config.yaml_files import dump, read
from vaebench.errors import UserError
from vaebench.runs import files, per_image, records
from vaebench.runs.effort import joined, more
from vaebench.runs.older import renewed


def merge(runs: Sequence[Path], out: Path) -> dict[str, dict[str, Any]]:
    """Write a run that holds the cells of all `runs`.

    Returns:
        The configuration of each cell, by its name.

    Raises:
        UserError: The runs do not fit together, one is damaged, or `out` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty; choose another --out.")
    settings = _united(runs)
    planned: dict[str, dict[str, Any]] = {}
    chosen: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for run in runs:
        cells = records.plan(run)
        planned |= cells
        for name in cells:
            _choose(run, name, chosen)
    _consistent(planned)
    try:
        for name, ((run, record), *others) in chosen.items():
            _copy(run / "cells" / name, out / "cells" / name, record)
            for run, record in others:
                _add(run / "cells" / name, out / "cells" / name, record)
        files.write_json(out / "plan.json", {"cells": planned})
        files.write_text(out / "config.yaml", dump(settings))
    except OSError as error:
        raise UserError(
            f"{error.filename or out} cannot be written ({error.strerror}); choose another --out."
        ) from error
    return planned


def _united(runs: Sequence[Path]) -> Settings:
    for run in runs:
        if not (run / "config.yaml").is_file():
            raise UserError(f"No run in {run}: it holds no config.yaml; give the --out of a run.")
    found = [
        from_dict(values, str(run / "config.yaml"), lines)
        for run in runs
        for values, lines in [read(run / "config.yaml")]
    ]
    first = found[0]
    for run, settings in zip(runs, found, strict=True):
        for name in [s.asked for s in SETTINGS if not s.axis and s.name in TRAINED]:
            if getattr(settings, name) != getattr(first, name):
                raise UserError(
                    f"{run} and {runs[0]} do not fit together: they differ in {name}, which all "
                    "cells of a run share."
                )
    axes: dict[str, Any] = {
        name: tuple(dict.fromkeys(value for one in found for value in getattr(one, name)))
        for name in [s.asked for s in SETTINGS if s.axis]
    }
    asked: dict[str, Any] = {}
    for one in found:
        asked = joined(asked, {name: getattr(one, name) for name in MEASURED})
    return replace(first, **axes, **asked)


def _choose(run: Path, name: str, chosen: dict[str, list[tuple[Path, dict[str, Any]]]]) -> None:
    """Take the cell from this run if none before has it done, and else what it measured more."""
    folder = run / "cells" / name
    if name != Path(name).name or name in (".", "..") or not name.isprintable():
        raise UserError(f"{run}/plan.json names a cell {name!r:.80}, which is not a cell.")
    if not os.path.lexists(folder / "result.json"):
        return
    inside = files.file(run, f"cells/{name}/result.json") is not None
    flaw = files.flaw(folder) if inside else "result.json leads out of the run"
    if flaw:
        raise UserError(f"{folder} is damaged: {flaw}; run its command again first.")
    record = files.read_json(folder / "result.json")
    before = chosen.get(name, [])
    done = [each for each in before if each[1]["status"] == "done"]
    if record["status"] != "done":
        chosen[name] = before or [(run, record)]
        return
    for other, kept in done:
        if _contradict(kept, record):
            raise UserError(
                f"The cell {name} has other numbers in {run} than in {other}; delete it in one."
            )
    chosen[name] = [*done, (run, record)]


def _contradict(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two records have other numbers of the same effort."""
    metrics = renewed(first)["metrics"], renewed(second)["metrics"]
    return any(
        one.get("value") != other.get("value")
        for name in metrics[0].keys() & metrics[1].keys()
        for one, other in [(metrics[0][name], metrics[1][name])]
        if _effort(one) == _effort(other) and not (one.get("failed") or other.get("failed"))
    )


def _effort(metric: dict[str, Any]) -> dict[str, Any]:
    depends = metric.get("depends") or {}
    return {name: value for name, value in depends.items() if name in (*EFFORT, "ais_steps")}


def _add(source: Path, target: Path, record: dict[str, Any]) -> None:
    """Add to a cell that was copied what another copy of it measured more, or with more effort."""
    there, more_ = renewed(files.read_json(target / "result.json")), renewed(record)
    kept = there["metrics"]
    better = {
        name: metric
        for name, metric in more_["metrics"].items()
        if name not in kept
        or kept[name].get("failed")
        or more(_effort(metric), _effort(kept[name]))
    }
    if not better:
        return
    values, others = (per_image.read(folder) for folder in (target, source))
    values = values.drop(columns=list(better), errors="ignore")
    added = others[[name for name in better if name in others]]
    frame = pd.concat([values, added], axis=1)
    changed = {}
    if len(frame.columns):
        changed[per_image.NAME] = per_image.content(frame)
    for name in record["files"]:
        if name.endswith(".png") and not (target / name).exists():
            changed[name] = (source / name).read_bytes()
    asked = joined(there["evaluation"], more_["evaluation"])
    missing = [name for name in there.get("missing", []) if name not in better]
    changes = {"metrics": kept | better, "evaluation": asked, "missing": missing}
    files.amend(target, there | changes, changed)


def _consistent(planned: dict[str, dict[str, Any]]) -> None:
    """Refuse two versions of the same data set or of the same plugin."""
    for what, keys, part in (
        ("data", ("dataset", "image_size"), 0),
        ("code", ("plugin",), 0),
        ("code", ("backbone", "dataset"), 2),
    ):
        seen: dict[tuple[Any, ...], Any] = {}
        for cell in planned.values():
            key = tuple(str(cell.get(k)) for k in keys)
            value = str(cell.get(what, "")).partition("+")[part]
            if seen.setdefault(key, value) != value:
                raise UserError(
                    f"The runs do not fit together: {key[0]} has not the same {what} in all of "
                    "them; compare like with like."
                )


def _copy(source: Path, target: Path, record: dict[str, Any]) -> None:
    """Copy the files that the result vouches for, and the result last."""
    for name in [*record["files"], "result.json"]:
        files.write_bytes(target / name, (source / name).read_bytes())
