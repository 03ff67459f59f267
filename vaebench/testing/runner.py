"""Runs the checks on a variant and holds the outcome against what the variant declares."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vaebench.models.variant import LAWS, Variant
from vaebench.testing.report import Check, Report
from vaebench.testing.subjects import DoesNotApply

PASSED, FAILED, SKIPPED = "passed", "failed", "does not apply"
EXPECTED, OUT_OF_DATE = "expected failure", "out of date"


@dataclass(frozen=True)
class Result:
    """How a check of a variant went.

    Attributes:
        variant: The variant's name.
        check: The check's name.
        law: The law under which a deviation from it is declared.
        status: passed, failed, does not apply, expected failure (declared in `deviations`) or out
            of date (declared, and yet the law holds).
        message: What is broken and the likely mistake; the reason where it does not apply.
        lines: What was compared, with the figures.
        warnings: What breaks no law and should be known.
        p_value: Of the statistical comparisons together; 1 where there are none.
        seconds: Wall time.
    """

    variant: str
    check: str
    law: str
    status: str
    message: str
    lines: list[str]
    warnings: list[str]
    p_value: float
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the result speaks for the variant."""
        return self.status not in (FAILED, OUT_OF_DATE)


def examine(
    variant: Variant,
    checks: Sequence[Check],
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Result]:
    """The results of all checks, a deviation being out of date where all of them deny it.

    A law that some of its checks say nothing about is left undecided.
    """
    results = []
    for done, check in enumerate(checks):
        if progress:
            progress(check.name, done, len(checks) + 1)
        results.append(_examine(variant, check, seed))
    if progress:
        progress("deviations", len(checks), len(checks) + 1)
    results.append(_known_laws(variant, checks))
    for law in variant.deviations:
        statuses = {r.status for r in results if r.law == law}
        if not statuses & {FAILED, SKIPPED}:
            message = f"deviations declares {law!r} and every check of it passes: delete the entry."
            results = _changed(results, law, PASSED, OUT_OF_DATE, message)
        results = _changed(results, law, FAILED, EXPECTED)
    return results


def _changed(
    results: list[Result], law: str, old: str, new: str, message: str = ""
) -> list[Result]:
    return [
        replace(r, status=new, message=message or r.message)
        if r.law == law and r.status == old
        else r
        for r in results
    ]


def _examine(variant: Variant, check: Check, seed: int) -> Result:
    start = time.perf_counter()
    report = Report(seed)
    status, message = PASSED, ""
    try:
        report = check.report(variant, seed)
    except DoesNotApply as reason:
        status, message = SKIPPED, str(reason)
    if broken := report.verdict():
        status, message = FAILED, "\n".join([*broken, check.mistake])
    elif status == PASSED and not report.compared:
        status, message = SKIPPED, "nothing could be compared"
    return Result(
        variant.name,
        check.name,
        check.law,
        status,
        message,
        report.lines,
        report.notes,
        report.p_value,
        time.perf_counter() - start,
    )


def _known_laws(variant: Variant, checks: Sequence[Check]) -> Result:
    """Deviations name laws that exist and give reasons."""
    known = {*LAWS, *(check.law for check in checks)}
    unknown = [law for law in variant.deviations if law not in known]
    silent = [law for law, reason in variant.deviations.items() if not reason.strip()]
    message = ""
    if unknown:
        message = f"deviations names no law: {unknown}; there are {sorted(known)}."
    elif silent:
        message = f"deviations gives no reason for {silent}: the reports print it."
    status = FAILED if message else PASSED
    return Result(variant.name, "deviations", "deviations", status, message, [], [], 1.0, 0.0)


def declarations(checks: Sequence[Check]) -> Check:
    """The check that every declared deviation is a law, has a reason, and is still one."""

    def deviations(variant: Variant, report: Report) -> None:
        """Every law among the deviations is known, explained, and not kept after all."""
        known = _known_laws(variant, checks)
        report.exact(known.ok, known.message or f"declared: {sorted(variant.deviations)}")
        for law in variant.deviations:
            results = (_examine(variant, c, report.seed) for c in checks if c.law == law)
            other = next((r for r in results if r.status != PASSED), None)
            line = f"{other.check}: {other.status}" if other else "every check of it passes"
            report.exact(other is not None, f"{law!r}: {line}")

    return Check("deviations", "deviations", deviations, "Delete what is out of date.")
