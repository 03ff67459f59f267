"""Two variants, or two runs, held against each other metric by metric. No torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vaebench.config.cell import ABSENT
from vaebench.errors import UserError, meant, nearest, unknown
from vaebench.report.columns import Column, make_columns, named
from vaebench.report.sheet import scores
from vaebench.runs import frames, numbers
from vaebench.runs.records import cells
from vaebench.runs.run import newest
from vaebench.runs.schema import MetricRecord, Record
from vaebench.statistics.comparisons import shared
from vaebench.statistics.intervals import Difference, Score, difference, paired

#: Values that are nearer than this share of the larger one differ by rounding.
_ROUNDING = 1e-5
_Measured = tuple[Column, dict[int, Score], dict[int, Score]]
#: Outcomes that an interval decides on.
_DECIDABLE = ("better", "worse", "other", "undecided")


class Side(NamedTuple):
    """Finished cells that differ by nothing but their seed, with what they share."""

    label: str
    run: Path
    settings: dict[str, Any]
    cells: pd.DataFrame
    records: list[Record]


class Line(NamedTuple):
    """One metric of both sides; `difference` is the second less the first."""

    column: Column
    values: tuple[float, float]
    difference: Difference

    @property
    def outcome(self) -> str:
        """How the second side does: better, worse, other, undecided, not known, equal, constant.

        Values that are equal up to rounding are no verdict, nor are those that no seed and no image
        changes, as the number of parameters.
        """
        if abs(self.difference.mean) <= _ROUNDING * max(map(abs, self.values)):
            return "equal"
        if np.isnan(self.difference.margin):
            return "not known"
        if self.difference.margin <= _ROUNDING * abs(self.difference.mean):
            return "constant"
        if not self.difference.significant:
            return "undecided"
        if self.column.better is None:
            return "other"
        return (
            "better" if (self.difference.mean > 0) == (self.column.better == "higher") else "worse"
        )


@dataclass(frozen=True)
class Comparison:
    """What two sides both measured; `more` further metrics of both are left out."""

    first: Side
    second: Side
    lines: list[Line]
    more: int = 0

    @property
    def parts(self) -> list[list[Line]]:
        """The lines of the main table, and the rest; none of them is empty."""
        parts = [[x for x in self.lines if x.column.key is key] for key in (True, False)]
        return [part for part in parts if part]

    @property
    def apart(self) -> dict[str, tuple[Any, Any]]:
        """The settings that differ, the variant's name aside."""
        a, b = self.first.settings, self.second.settings
        return {
            key: (a.get(key), b.get(key))
            for key in {**a, **b}
            if key not in ("plugin", "data_hash") and str(a.get(key)) != str(b.get(key))
        }

    @property
    def title(self) -> str:
        """Who is compared, on what data."""
        return f"{self.second.label} against {self.first.label} on {self.first.settings['dataset']}"

    def plain(self) -> dict[str, Any]:
        """The comparison as plain data."""
        return {
            "dataset": self.first.settings["dataset"],
            "first": self.first.label,
            "second": self.second.label,
            "settings": {key: list(pair) for key, pair in self.apart.items()},
            "metrics": {line.column.name: _plain(line) for line in self.lines},
        }


def _plain(line: Line) -> dict[str, Any]:
    gap = line.difference
    return {
        "first": line.values[0],
        "second": line.values[1],
        "difference": gap.mean,
        "margin": None if np.isnan(gap.margin) else gap.margin,
        "significant": gap.significant,
        "outcome": line.outcome,
        "better": line.column.better,
        "unit": line.column.unit,
        "method": gap.method,
        "trained_models_only": gap.models,
    }


def compare(
    names: tuple[str, ...], run: Path | None, metrics: tuple[str, ...], every: bool = False
) -> list[Comparison]:
    """Compare each of the names with the first one.

    Intervals are widened for the number of comparisons with the first; those of metrics outside
    of the main table also for the number of these that are shown.

    Args:
        names: Two or more variants of one run, or folders of runs.
        run: The run of the variants; by default the newest one in ``results``.
        metrics: Those to show; by default those of the main table.
        every: Show the others too.

    Raises:
        UserError: A name is neither, or there is nothing that both sides measured.
    """
    if len(names) < 2:
        raise UserError("Give two or more names to compare: variants of a run, or folders of runs.")
    folders = [Path(name) for name in names if (Path(name) / "cells").is_dir()]
    if len(folders) == len(names):
        pairs = _runs(folders)
    elif folders:
        other = next(name for name in names if Path(name) not in folders)
        raise UserError(
            f"{other!r} is neither the folder of a run, as {folders[0]} is, nor a variant to hold "
            "against one; give only folders of runs, or only variants of one run."
        )
    else:
        pairs = _variants(names, run or newest())
    held = [(a, b, list(_measured(a, b))) for a, b in pairs]
    known = {column.name: column for *_, both in held for column, *_ in both}
    if not known:
        raise UserError(
            "Nothing to compare: no two sides have finished cells with the same data and settings."
        )
    chosen = {_column(metric, list(known.values())) for metric in metrics}
    chosen = chosen or {c.name for *_, both in held for c, *_ in both if every or c.key}
    found = []
    for a, b, both in held:
        shown = [each for each in both if each[0].name in (chosen or known)]
        lines = _lines(shown, sum(a is first for first, *_ in held))
        found.append(Comparison(a, b, lines, 0 if metrics else len(both) - len(shown)))
    return [one for one in found if one.lines]


def _column(metric: str, known: Sequence[Column]) -> str:
    """The name of the column that a metric's name, or a short one, stands for."""
    found = [column.name for column in named(metric, known)]
    if len(found) == 1:
        return found[0]
    names = [column.name for column in known]
    hint = meant(found or nearest(metric, names)) or "Leave out --metric to see them all."
    raise UserError(f"{metric!r} is not a metric that both sides have. {hint}")


def sides(run: Path) -> list[Side]:
    """The finished variants of a run, one for each combination of settings."""
    records = cells(run)
    by_name = {record["cell"]: record for record in records}
    found = []
    for settings, part in frames.groups(frames.frame(run, records)):
        done = part[part["status"] == "done"]
        if len(done):
            mine = [by_name[cell] for cell in done["cell"]]
            settings = settings | {"data_hash": part.iloc[0]["data_hash"]}
            found.append(Side(frames.label(settings, part), run, settings, done, mine))
    return found


def _variants(names: tuple[str, ...], run: Path) -> Iterator[tuple[Side, Side]]:
    known = sides(run)
    for name in names:
        if name not in {side.label for side in known}:
            labels = {side.label for side in known}
            if Path(name).parent != Path():
                raise UserError(
                    f"{name!r} is neither the folder of a run nor a variant of {run}, which has "
                    f"{', '.join(sorted(labels))}."
                )
            raise unknown(f"folder of a run, nor a finished variant in {run}:", name, labels)
    for first in (side for side in known if side.label == names[0]):
        for name in names[1:]:
            for second in known:
                apart = ("plugin", *first.cells.attrs["apart"])
                if second.label == name and same(first, second, apart):
                    yield first, second


def _runs(folders: list[Path]) -> Iterator[tuple[Side, Side]]:
    """Each variant with itself in the first run, all settings equal, or else the only ones."""
    base = sides(folders[0])
    for folder in folders[1:]:
        other = sides(folder)
        for first in base:
            alike = [s for s in other if s.label == first.label and _same_data(first, s)]
            equal = [s for s in alike if same(first, s, ())]
            peers = [s for s in base if s.label == first.label and _same_data(first, s)]
            for second in equal or (alike if len(alike) == len(peers) == 1 else []):
                yield (
                    first._replace(label=f"{first.label} ({folders[0].name})"),
                    second._replace(label=f"{second.label} ({folder.name})"),
                )


def same(a: Side, b: Side, but: tuple[str, ...]) -> bool:
    """Whether all settings are equal but some."""
    keys = a.settings.keys() | b.settings.keys()
    sides = [{k: str(s.settings.get(k, ABSENT.get(k))) for k in keys} for s in (a, b)]
    return all(sides[0][k] == sides[1][k] for k in keys if k not in but)


def _same_data(a: Side, b: Side) -> bool:
    return all(str(a.settings.get(k)) == str(b.settings.get(k)) for k in ("dataset", "data_hash"))


def _measured(first: Side, second: Side) -> Iterator[_Measured]:
    """The columns that both sides have, with their scores."""
    metrics = _metrics((*first.records, *second.records))
    both = pd.concat([first.cells, second.cells], ignore_index=True)
    images = [
        numbers.read(s.run, s.cells["cell"], "per_image.csv", "index") for s in (first, second)
    ]
    for column in make_columns(both, metrics, [*first.records, *second.records]):
        if column.name in first.cells and column.name in second.cells:
            a = scores(first.cells, column.name, images[0])
            b = scores(second.cells, column.name, images[1])
            if a and b:
                yield column, a, b


def _lines(measured: Sequence[_Measured], comparisons: int) -> list[Line]:
    """A line for each column, with an interval of the level that its verdict needs."""
    lines = [_line(*each, shared(comparisons)) for each in measured]
    rest = sum(not x.column.key and x.outcome in _DECIDABLE for x in lines)
    wide = shared(comparisons * rest)
    return [
        line if line.column.key else _line(*each, wide)
        for each, line in zip(measured, lines, strict=True)
    ]


def _line(column: Column, a: dict[int, Score], b: dict[int, Score], level: float) -> Line:
    first, second = (
        float(np.mean([side[seed].value for seed in paired(a, b) or side])) for side in (a, b)
    )
    return Line(column, (first, second), difference(b, a, level))


def _metrics(records: Iterable[Record]) -> dict[str, MetricRecord]:
    found: dict[str, MetricRecord] = {}
    for record in records:
        for name, metric in record["metrics"].items():
            found.setdefault(name, metric)
    return found
