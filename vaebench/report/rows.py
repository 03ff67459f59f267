"""The rows of a table: numbers with their errors, marks and footnotes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from vaebench.report.columns import Column
from vaebench.runs.frames import within
from vaebench.runs.schema import Record
from vaebench.statistics.comparisons import Verdict
from vaebench.statistics.intervals import interval


class Notes:
    """Footnotes, each text once; numbered from 1."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> int:
        """The number of the footnote with this text."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


@dataclass(frozen=True)
class Entry:
    """A number of a table.

    Attributes:
        text: What is shown, such as ``-24.10`` or ``n/a``.
        error: Its error, such as ``± 0.20``, or ``[0.93, 1.00]`` where the interval is cut at the
            end of a share's range, or nothing.
        value: What is sorted and drawn, None where there is none.
        margins: From the value down to and up to the ends of the 95 % interval over seeds; with one
            seed the estimate's standard error. Neither leaves the range of a share.
        mark: ``best``, ``tied`` with the best, ``wide`` where only a wide interval keeps it from
            being worse, ``model`` for a trained model that is ahead of every other, or nothing.
        notes: Numbers of footnotes.
        detail: The same in words.
    """

    text: str
    error: str = ""
    value: float | None = None
    margins: tuple[float, float] | None = None
    mark: str = ""
    notes: tuple[int, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """A variant under one combination of settings; without `entries` where no cell is done.

    In a run that was tuned `tuning` says whether the settings are the defaults or tuned.
    """

    label: str
    seeds: int
    failed: int
    unfinished: int
    reason: str
    entries: dict[str, Entry]
    notes: tuple[int, ...]
    cells: tuple[str, ...]
    tuning: str = ""

    @property
    def state(self) -> str:
        """What is said in place of the numbers where there are none."""
        return "failed" if self.failed else "not finished"


def make_row(
    label: str,
    part: pd.DataFrame,
    columns: list[Column],
    verdicts: Mapping[str, Verdict],
    notes: Notes,
    records: Mapping[str, Record],
    against: Iterable[str] = (),
) -> Row:
    """The row of the cells in `part`, which differ by nothing but their seed.

    `against` says what keeps it out of all verdicts.
    """
    done, failed, unfinished = (
        part[part["status"] == status] for status in ("done", "failed", "unfinished")
    )
    cells = [records[cell] for cell in done["cell"]]
    own: dict[int, None] = {}
    for record in cells:
        for law, why in record["variant"].get("deviations", {}).items():
            own[notes(f"{label} is known to break the law “{law}”: {why}")] = None
    if any(record["variant"].get("networks") for record in cells):
        own[notes(f"{label} brings its own encoder and decoder in place of the backbone’s")] = None
    own |= {notes(text): None for text in against}
    reason = next(iter(failed["reason"]), "")
    if len(failed):
        many = f"{len(failed)} of {len(part)} seeds " if len(part) > 1 else ""
        own[notes(f"{label}: {many}failed: {reason}")] = None
    if len(unfinished) and len(unfinished) < len(part):
        own[notes(f"{label}: {len(unfinished)} of {len(part)} seeds not finished")] = None
    entries = {}
    for column in columns if len(done) else ():
        mark = _mark(label, verdicts.get(column.name))
        entries[column.name] = _entry(column, done, mark, notes, cells)
    return Row(
        label=label,
        seeds=len(done),
        failed=len(failed),
        unfinished=len(unfinished),
        reason=reason,
        entries=entries,
        notes=tuple(own),
        cells=tuple(part["cell"]),
        tuning=str(part.iloc[0]["tuning"]) if "tuning" in part else "",
    )


def _cut(mean: float, se: float, limits: tuple[float, float] | None) -> tuple[float, float]:
    """The standard error down and up, cut at what a mean cannot leave."""
    low, high = limits or (-math.inf, math.inf)
    return (se, se) if math.isnan(se) else (min(se, mean - low), min(se, high - mean))


def _mark(label: str, found: Verdict | None) -> str:
    if found is None or label not in found.leading:
        return ""
    if len(found.leading) > 1:
        return "wide" if label in found.unsure else "tied"
    return "model" if found.seeds == 1 else "best"


def _entry(
    column: Column, done: pd.DataFrame, mark: str, notes: Notes, cells: Sequence[Record]
) -> Entry:
    values = done[column.name].dropna()
    found = [record["metrics"].get(column.name) for record in cells]
    if values.empty or (column.missing and len(values) < len(done)):
        reasons = [m["reason"] for m in found if m and m["reason"]]
        reasons += [column.missing or "not measured"]
        return Entry(
            "n/a", notes=(notes(f"n/a: {reasons[0]}"),), detail=f"Not available: {reasons[0]}"
        )
    warnings = [metric["warning"] if metric else None for metric in found]
    own = len(set(warnings)) > 1
    numbers = [
        notes(f"seed {record['config'].get('seed')}: {text}" if own else text)
        for record, text in zip(cells, warnings, strict=True)
        if text
    ]
    numbers = [number for number in numbers if number not in column.notes]
    if 0 < len(values) < len(done):
        numbers.append(notes(f"mean of the seeds that have it, {len(values)} of {len(done)}"))
    mean, (low, high, method) = values.mean(), interval(values.to_numpy(), within(column.unit))
    errors = done.get(f"{column.name}_se", pd.Series(dtype=float)).dropna()
    se = math.sqrt((errors**2).mean()) if len(errors) else math.nan
    margins = (mean - low, high - mean) if method else _cut(mean, se, within(column.unit))
    text, error = column.format(mean), ""
    detail = [f"{column.title}: {text} {column.unit}".rstrip()]
    if method:
        detail.append(
            f"95 % interval over {len(values)} seeds "
            f"{column.format(low)} to {column.format(high)} (Student t)"
        )
    if not math.isnan(se):
        detail.append(f"standard error of the estimate {column.format(se)}")
    if method and not math.isclose(*margins, rel_tol=1e-6, abs_tol=1e-12):
        error = f"[{column.format(low)}, {column.format(high)}]"
    elif not math.isnan(margins[0]):
        error = f"± {column.format(margins[0] if method else se)}"
    return Entry(
        text=text,
        error=error,
        value=float(mean),
        margins=None if math.isnan(margins[0]) else (float(margins[0]), float(margins[1])),
        mark=mark,
        notes=tuple(dict.fromkeys(numbers)),
        detail="; ".join(detail) + ".",
    )
