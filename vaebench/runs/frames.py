"""A run's cells as frames: a row for each cell, or the means over seeds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vaebench.config.cell import ABSENT
from vaebench.runs import numbers, tuning
from vaebench.runs.numbers import Numbers
from vaebench.runs.schema import COST, FIXED, MetricRecord, Record
from vaebench.statistics.cost import seconds_to_elbo
from vaebench.statistics.intervals import UNIT, interval

#: Settings that every table shows, whether they vary or not.
SHOWN = ("plugin", "dataset", "backbone", "critic", "latent")
#: Settings that are not part of what is compared: where and how a cell ran, not what.
_ASIDE = ("seed", "device", "code", "data")
#: Settings that cells must share for their ELBOs to be comparable, besides the images.
_OBSERVED = ("dataset", "image_size", "likelihood", "binarise")


def histories(run: Path | str, records: Sequence[Record]) -> dict[str, Numbers]:
    """What the finished of a run's cells kept of their epochs, by cell."""
    done = [record["cell"] for record in records if record["status"] == "done"]
    return numbers.read(run, done, "history.csv", "epoch")


def frame(
    run: Path | str, records: Sequence[Record], epochs: Mapping[str, Numbers] | None = None
) -> pd.DataFrame:
    """The cells of a run, one row each, from records as `records.cells` returns them.

    Columns: ``cell``, the settings, ``status``, ``reason``, ``data_hash``, then ``<metric>`` and
    ``<metric>_se`` for each metric of any cell, and the cost; in a run that was tuned ``tuning``
    too, which says whether settings are the default or tuned. ``attrs`` holds ``run``, the names
    of the ``settings`` and, by name, what is known of each of the ``metrics``; the ``labels`` of
    rows by cell where they are not the variants' names, and the settings ``apart`` that rows of
    one table may differ in.

    Args:
        run: The run's folder.
        records: The cells.
        epochs: Their `histories`, where these have been read.
    """
    metrics: dict[str, MetricRecord] = {}
    settings = dict.fromkeys((*SHOWN, "seed"))
    for record in records:
        settings |= dict.fromkeys(key for key in record["config"] if key not in FIXED)
        for name, metric in record["metrics"].items():
            if name not in (*FIXED, *settings):
                metrics.setdefault(name, metric)
    rows = [_row(record, list(settings), list(metrics)) for record in records]
    _guess(rows, list(settings))
    columns = [
        *("cell", *settings, "status", "reason", "data_hash"),
        *(column for name in metrics for column in (name, f"{name}_se")),
        *COST,
    ]
    cells = pd.DataFrame(rows, columns=columns, dtype=object)
    cells[["elbo_target", "seconds_to_elbo"]] = _timed(
        histories(run, records) if epochs is None else epochs, cells
    ).to_numpy()
    numeric = [c for c in columns if c not in ("cell", *settings, "status", "reason", "data_hash")]
    cells[numeric] = cells[numeric].astype(float)
    cells.attrs = {"run": str(run), "settings": _Names(settings), "metrics": _Shared(metrics)}
    cells.attrs |= {"labels": _Shared(), "apart": _Names()}
    return _tuned(cells, tuning.read(run))


def _tuned(cells: pd.DataFrame, found: tuning.Tuning | None) -> pd.DataFrame:
    """The cells of a run that was tuned, with the column ``tuning`` and labels of their rows.

    They stay as they are where it is not known of each what its settings are.
    """
    rows = tuning.rows(found) if found else {}
    if found is None or not all(cell in rows for cell in cells["cell"]):
        return cells
    several = {
        (rows[part.iloc[0]["cell"]].label, str(settings["dataset"]))
        for settings, part in groups(cells)
    }
    if len(several) < sum(1 for _ in groups(cells)):
        return cells
    cells.insert(2, "tuning", [rows[cell].settings for cell in cells["cell"]])
    cells.attrs["labels"] = _Shared({cell: rows[cell].label for cell in cells["cell"]})
    cells.attrs["apart"] = _Names(tuning.searched(found))
    return cells


def label(settings: Mapping[str, Any], part: pd.DataFrame) -> str:
    """What the row is called of cells that differ by nothing but their seed."""
    named = part.attrs["labels"].get(part.iloc[0]["cell"]) if len(part) else None
    return str(named or settings["plugin"])


class _Names(tuple[str, ...]):
    """Names among a frame's attributes that pandas does not copy with every slice."""

    def __deepcopy__(self, memo: Any) -> "_Names":
        return self


class _Shared(dict[str, Any]):
    """A part of a frame's attributes that pandas does not copy with every slice."""

    def __deepcopy__(self, memo: Any) -> "_Shared":
        return self


def _row(record: Record, settings: list[str], metrics: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: _scalar(record["config"].get(name, ABSENT.get(name))) for name in settings
    }
    if row["plugin"] is not None:
        row["plugin"] = " ".join(str(row["plugin"]).split())
    for name in metrics:
        metric = record["metrics"].get(name)
        row |= {name: metric and metric["value"], f"{name}_se": metric and metric["se"]}
    train = record["train"]
    seconds, epochs, counts = train.get("seconds"), train.get("epochs"), train.get("parameters")
    return row | {
        "cell": record["cell"],
        "status": record["status"],
        "reason": record["reason"],
        "data_hash": record["data"].get("hash"),
        "seconds": seconds,
        "seconds_per_epoch": seconds / epochs if seconds is not None and epochs else None,
        "parameters": sum(counts.values()) if counts else None,
        "decoder_passes": train.get("decoder_passes"),
        "peak_memory": train.get("peak_memory"),
    }


def _timed(epochs: Mapping[str, Numbers], cells: pd.DataFrame) -> pd.DataFrame:
    """The ELBO that finished cells are timed to, and their seconds."""
    done = cells[cells["status"] == "done"]
    parts = done.reindex(columns=[*_OBSERVED, "data_hash"]).map(str).itertuples(index=False)
    groups = dict(zip(done["cell"], parts, strict=True))
    return seconds_to_elbo({cell: epochs[cell] for cell in groups}, groups).reindex(cells["cell"])


def _scalar(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _guess(rows: list[dict[str, Any]], settings: list[str]) -> None:
    """Name the cells whose settings are lost after their folder and the cells around them."""
    whole = [row for row in rows if row["plugin"] is not None]
    known = {key: {str(row[key]): row[key] for row in whole} for key in settings}
    for row in rows:
        if row["plugin"] is None:
            name, _, rest = row["cell"].rpartition("-s")
            seed = rest.partition("-")[0]
            row["seed"] = int(seed) if seed.isdecimal() and len(seed) < 18 else None
            row["dataset"] = next((d for d in known["dataset"] if name.endswith(f"-{d}")), None)
            row["plugin"] = name.removesuffix(f"-{row['dataset']}") or row["cell"]
            single = {key: next(iter(v.values())) for key, v in known.items() if len(v) == 1}
            row |= {key: value for key, value in single.items() if row[key] is None}
    for dataset in {str(row["dataset"]) for row in rows}:
        same = [row for row in rows if str(row["dataset"]) == dataset]
        hashes = {row["data_hash"] for row in same} - {None}
        if len(hashes) == 1:
            for row in same:
                row["data_hash"] = next(iter(hashes))


def groups(cells: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The cells that differ by nothing but their seed, with the settings they share."""
    keys = [key for key in cells.attrs["settings"] if key not in _ASIDE]
    found: dict[tuple[str, ...], list[Any]] = {}
    columns = [cells[name].map(str).tolist() for name in (*keys, "data_hash")]
    for index, *key in zip(cells.index, *columns, strict=True):
        found.setdefault(tuple(key), []).append(index)
    datasets = {(key[keys.index("dataset")], key[-1]) for key in found}
    if len(datasets) > len({name for name, _ in datasets}):
        keys = [*keys, "data_hash"]
    for indices in found.values():
        part = cells.loc[indices]
        yield dict(zip(keys, part.iloc[0][keys], strict=True)), part


def varying(cells: pd.DataFrame) -> list[str]:
    """The settings that a table of the cells has to show: the usual ones and all that vary."""
    keys = [key for key, _ in groups(cells)]
    names = list(keys[0]) if keys else list(SHOWN)
    return [n for n in names if n in SHOWN or len({str(key[n]) for key in keys}) > 1]


def table(cells: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds, one row for each combination of settings.

    Columns: the settings that vary, ``n`` finished, ``failed`` and ``unfinished`` cells, the first
    ``reason`` why one has no result, the kind of ``interval`` (t, Student's), and for each metric
    its mean, ``_se`` (the estimator's own error in one cell, not averaged over seeds, since these
    share their test images), ``_ci_low`` and ``_ci_high`` (95 % over seeds, empty for one; those
    of shares stay within 0 and 1).
    """
    keys = varying(cells)
    rows = []
    for settings, part in groups(cells):
        done = part[part["status"] == "done"]
        without = part[part["status"] != "done"]
        row = {key: settings[key] for key in keys}
        if "tuning" in cells:
            row["tuning"] = part.iloc[0]["tuning"]
        counts = part["status"].value_counts()
        row |= {"n": len(done)} | {s: int(counts.get(s, 0)) for s in ("failed", "unfinished")}
        row["reason"] = next(iter(without["reason"]), "")
        row["interval"] = interval(np.zeros(len(done))).method
        for name in cells.attrs["metrics"]:
            scores = done[name].dropna()
            low, high, _ = interval(scores.to_numpy(), within(cells.attrs["metrics"][name]["unit"]))
            errors = done[f"{name}_se"].dropna()
            row |= {
                name: scores.mean(),
                f"{name}_se": float(np.sqrt((errors**2).mean())) if len(errors) else np.nan,
                f"{name}_ci_low": low,
                f"{name}_ci_high": high,
            }
        for name in COST:
            row[name] = done[name].mean(skipna=False)
        rows.append(row)
    means = pd.DataFrame(rows)
    means.attrs = dict(cells.attrs)
    return means


def within(unit: str) -> tuple[float, float] | None:
    """What a mean in this unit cannot leave, such as 0 and 1 for a share; None where it is free."""
    return UNIT if unit in _SHARES else None


_SHARES = ("share", "accuracy", "probability", "AUROC")


def csv(rows: pd.DataFrame) -> str:
    """The frame of `frame` or `table` as CSV: what could not be computed is ``n/a``.

    A text that a spreadsheet would run as a formula is quoted with an apostrophe.
    """
    out = rows.astype(object)
    for name in rows.attrs["metrics"]:
        columns = [c for c in (name, *(f"{name}_{x}" for x in _OF_METRIC)) if c in out]
        out.loc[rows[name].isna(), columns] = "n/a"
    return out.map(inert).to_csv(index=False, na_rep="")


_OF_METRIC = ("se", "ci_low", "ci_high")


def inert(value: Any) -> Any:
    """A value in which no spreadsheet finds a formula: a text that begins like one is quoted."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
