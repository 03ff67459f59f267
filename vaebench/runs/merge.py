"""Joins runs that were made on different machines into one. No torch."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaebench.config.cell import SETTINGS
from vaebench.config.settings import Settings, from_dict
from vaebench.config.yaml_files import dump, read
from vaebench.errors import UserError
from vaebench.runs import files, records


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
    chosen: dict[str, tuple[Path, dict[str, Any]]] = {}
    for run in runs:
        cells = records.plan(run)
        planned |= cells
        for name in cells:
            _choose(run, name, chosen)
    _consistent(planned)
    try:
        for name, (run, record) in chosen.items():
            _copy(run / "cells" / name, out / "cells" / name, record)
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
        for name in [s.asked for s in SETTINGS if not s.axis]:
            if getattr(settings, name) != getattr(first, name):
                raise UserError(
                    f"{run} and {runs[0]} do not fit together: they differ in {name}, which all "
                    "cells of a run share."
                )
    axes: dict[str, Any] = {
        name: tuple(dict.fromkeys(value for one in found for value in getattr(one, name)))
        for name in [s.asked for s in SETTINGS if s.axis]
    }
    return replace(first, **axes)


def _choose(run: Path, name: str, chosen: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    """Take the cell from this run if it is the first that has it, or the first to have it done."""
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
    other, kept = chosen.get(name, (run, record))
    if kept["status"] == "done" and record["status"] == "done":
        if _numbers(kept) != _numbers(record):
            raise UserError(
                f"The cell {name} has other numbers in {run} than in {other}; delete it in one."
            )
        record, run = kept, other
    elif kept["status"] == "done":
        record, run = kept, other
    chosen[name] = run, record


def _numbers(record: dict[str, Any]) -> Any:
    return {name: metric.get("value") for name, metric in record["metrics"].items()}


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
