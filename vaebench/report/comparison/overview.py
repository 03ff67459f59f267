"""What a comparison says over all of its variants, data sets and seeds. No torch."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from vaebench.report.columns import Column, headlines
from vaebench.report.comparison.differences import Comparison, Side, same, sides
from vaebench.report.comparison.pairs import Matrix, matrix
from vaebench.report.comparison.standings import Standing, standing
from vaebench.report.sheet import scores
from vaebench.runs import numbers
from vaebench.runs.numbers import Numbers
from vaebench.statistics import iqm
from vaebench.statistics.comparisons import pairwise
from vaebench.statistics.ranks import LEAST, critical_difference, mean_ranks

_COLUMNS = 3


class Ranks(NamedTuple):
    """Mean ranks of variants in one metric, 1 is best, and their critical difference."""

    column: Column
    datasets: int
    means: dict[str, float]
    gap: float


class Overview(NamedTuple):
    """What is known beyond pairs.

    Attributes:
        matrices: By title, the differences of all pairs, where three or more are compared.
        standings: Interquartile means of those compared, normalised among all of their run.
        lacking: Why there are none.
        ranks: From six data sets on.
    """

    matrices: list[tuple[str, Matrix]]
    standings: list[Standing]
    lacking: str
    ranks: list[Ranks]


def overview(found: list[Comparison]) -> Overview:
    """Put comparisons together, in the headline metrics or in the few that are asked for."""
    columns = {line.column.name: line.column for one in found for line in one.lines}
    chosen = list(columns.values()) if len(columns) <= _COLUMNS else headlines([*columns.values()])
    named = {side.label for one in found for side in (one.first, one.second)}
    field = _field(found)
    tasks = {column.name: _tasks(field, column) for column in chosen if column.better}
    standings = [s for c in chosen if (s := standing(c, tasks.get(c.name, [])))]
    kept = [s._replace(means={k: v for k, v in s.means.items() if k in named}) for s in standings]
    reasons = [iqm.lacking(each) for each in tasks.values()]
    lacking = "" if kept else next(iter(filter(None, reasons)), "")
    ranks = [r for c in chosen if (r := _ranks(c, tasks.get(c.name, [])))]
    return Overview(list(_matrices(found, chosen)), kept, lacking, ranks)


def _field(found: list[Comparison]) -> list[Side]:
    """All variants of the run under the settings that are compared; of several runs those named."""
    both = [side for one in found for side in (one.first, one.second)]
    runs = {side.run for side in both}
    if len(runs) > 1:
        return both
    return [s for s in sides(runs.pop()) if any(same(s, one.first, ("plugin",)) for one in found)]


def _tasks(field: Iterable[Side], column: Column) -> list[dict[str, list[float]]]:
    """By data set the values of each variant; of several settings the first ones count."""
    tasks: dict[tuple[str, str], dict[str, list[float]]] = {}
    for side in field:
        key = (str(side.settings["dataset"]), str(side.settings.get("data_hash")))
        if column.name in side.cells and side.cells[column.name].notna().any():
            values = side.cells[column.name].dropna().tolist()
            tasks.setdefault(key, {}).setdefault(side.label, values)
    return list(tasks.values())


def _ranks(column: Column, tasks: list[dict[str, list[float]]]) -> Ranks | None:
    shared = [name for name in tasks[0] if all(name in each for each in tasks)] if tasks else []
    if len(tasks) < LEAST or len(shared) < 2 or column.better is None:
        return None
    values = np.array([[float(np.mean(each[name])) for name in shared] for each in tasks])
    means = dict(zip(shared, mean_ranks(values, column.better).tolist(), strict=True))
    gap = critical_difference(len(shared), len(tasks))
    return Ranks(column, len(tasks), dict(sorted(means.items(), key=lambda m: m[1])), gap)


def _matrices(found: list[Comparison], columns: list[Column]) -> Iterable[tuple[str, Matrix]]:
    groups: dict[str, dict[str, Side]] = {}
    for one in found:
        key = str((one.first.label, one.first.run, one.first.settings))
        groups.setdefault(key, {one.first.label: one.first})[one.second.label] = one.second
    for group in groups.values():
        if len(group) < 3:
            continue
        images: dict[str, Numbers] = {}
        for side in group.values():
            images |= numbers.read(side.run, side.cells["cell"], "per_image.csv", "index")
        dataset = next(iter(group.values())).settings["dataset"]
        for column in columns:
            have = {k: s for k, s in group.items() if column.name in s.cells}
            rows = {k: scores(side.cells, column.name, images) for k, side in have.items()}
            rows = {label: row for label, row in rows.items() if row}
            if len(rows) > 2:
                yield f"All pairs on {dataset}", matrix(column, pairwise(rows))
