"""Whether finished cells measure as their records say, again from their weights. No torch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vaebench.errors import UserError
from vaebench.execution import driver
from vaebench.execution.reevaluate import Wish, evaluate
from vaebench.runs import files, records
from vaebench.runs.schema import MetricRecord, Record

Verdict = Literal["same", "within error", "differs", "unknown"]
#: Standard errors of a number's own noise that it may be off, where bits are not the same.
_ERRORS = 4.0
#: What rounding on another machine may move a number by, relative to it.
_ROUNDING = 1e-3
_AIS = "log_likelihood_ais"


class Number(NamedTuple):
    """A number of a record beside what it comes to now; None where it is not available.

    Attributes:
        column: Its column.
        before: As recorded.
        now: As measured again.
        allowed: What it may be off, which is its own noise or rounding, in its unit.
        verdict: ``same`` to the bit, ``within error``, ``differs``, or ``unknown`` where it cannot
            be measured here.
        why: The reason why it is not available now, or empty.
    """

    column: str
    before: float | None
    now: float | None
    allowed: float
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Checked:
    """What verifying a cell found.

    Attributes:
        cell: Its name.
        numbers: Each of its numbers.
        flaw: Why nothing can be said of the cell: damaged files, or data that are not there.
        changed: Versions that are others than when it was measured, as "torch 2.14 → 2.15".
        bare: Whether its weights were left out of the folder, so that there is nothing to measure.
    """

    cell: str
    numbers: tuple[Number, ...] = ()
    flaw: str = ""
    changed: tuple[str, ...] = ()
    bare: bool = False

    @property
    def good(self) -> bool:
        """Whether all that can be measured here comes out."""
        return not self.flaw and all(number.verdict != "differs" for number in self.numbers)

    def count(self, verdict: Verdict) -> int:
        """How many numbers have a verdict."""
        return sum(number.verdict == verdict for number in self.numbers)

    def plain(self) -> dict[str, Any]:
        """The same as plain data, for machines."""
        numbers = {number.column: number._asdict() for number in self.numbers}
        return {**asdict(self), "numbers": numbers, "good": self.good}


def verify(run: Path, cells: Sequence[str], where: driver.Where) -> Iterator[Checked]:
    """Measure finished cells again, with the effort of their records; the run stays as it is.

    Args:
        run: Their run.
        cells: Their names.
        where: Where to compute.
    """
    for name in cells:
        yield _verify(run, name, where)


def damaged(run: Path) -> list[str]:
    """The cells of a run whose results are not as they were written, so that none counts them."""
    return [
        name
        for record in records.cells(run)
        if record["status"] != "done"
        and (run / "cells" / (name := record["cell"]) / "result.json").exists()
        and files.flaw(run / "cells" / name)
    ]


def _verify(run: Path, name: str, where: driver.Where) -> Checked:
    folder, record = run / "cells" / name, records.one(run, name)
    if not (folder / "model.safetensors").exists():
        wrong = "" if record["status"] == "done" else str(record["reason"])
        return Checked(name, flaw=wrong, bare=True)
    if flaw := files.flaw(folder):
        return Checked(name, flaw=f"its files are damaged ({flaw})")
    annealed = record["metrics"].get(_AIS)
    steps = annealed["depends"].get("ais_steps") if annealed else None
    wish = Wish({}, steps if type(steps) is int else None, again=True)
    try:
        found = evaluate(run, [name], wish, where, keep=False)[name]
    except UserError as error:
        return Checked(name, flaw=str(error))
    numbers = tuple(
        judged(column, metric, found.get(column)) for column, metric in record["metrics"].items()
    )
    return Checked(name, numbers, changed=_changed(record))


def judged(column: str, before: MetricRecord, now: MetricRecord | None) -> Number:
    """A recorded number beside the one that was measured again, if it was."""
    if now is None:
        why = "it is no longer asked for, or nobody installed measures it"
        return Number(column, before["value"], None, math.nan, "unknown", why)
    one, other, allowed = before["value"], now["value"], _allowed(before)
    if one == other:
        verdict: Verdict = "same"
    elif other is None and now["failed"]:
        verdict = "unknown"
    elif one is not None and other is not None and abs(one - other) <= allowed:
        verdict = "within error"
    else:
        verdict = "differs"
    return Number(column, one, other, allowed, verdict, now["reason"] or "")


def _allowed(metric: MetricRecord) -> float:
    """The noise of a number whose images stay the same, or its standard error, or rounding."""
    own = metric["depends"].get("sampler_se", metric["detail"].get("monte_carlo_se"))
    noise = _ERRORS * own if isinstance(own, int | float) else metric["se"] or 0.0
    return max(noise, _ROUNDING * abs(metric["value"] or 0.0))


def _changed(record: Record) -> tuple[str, ...]:
    found = []
    for name, then in record["versions"].items():
        try:
            now = version(name)
        except PackageNotFoundError:
            continue
        if now != then:
            found.append(f"{name} {then} → {now}")
    return tuple(found)
