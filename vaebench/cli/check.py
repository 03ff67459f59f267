"""Runs the conformance kit on installed variants, each in a process of its own. No torch."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from vaebench.errors import printable
from vaebench.execution.engines import local
from vaebench.execution.worker import chosen, examine

#: Seconds between two lines about a variant where no bar can be drawn.
_PAUSE = 10.0


def check(names: tuple[str, ...], as_json: bool, figures: bool = False) -> int:
    """Examine variants and print the outcome.

    Args:
        names: The variants.
        as_json: Print all of the results as JSON.
        figures: Print all figures of the laws that are broken, not only the first.

    Returns:
        0 if every law holds or is declared broken, else 1.

    Raises:
        UserError: There is no such variant.
    """
    variants = local.call(chosen, names)
    outcomes: dict[int, list[dict[str, Any]]] = {}
    screen = Console(soft_wrap=True, highlight=False)
    with TemporaryDirectory() as folder, Waiting(variants) as waiting:
        logs = [Path(folder) / str(i) for i in range(len(variants))]
        for event in local.run(examine, [(name,) for name in variants], logs, os.cpu_count() or 1):
            if event.exitcode is None and isinstance(event.message, tuple):
                waiting.at(event.task, *event.message)
            elif event.exitcode is None:
                outcomes[event.task] = printable(event.message, 2**16)
            elif event.task not in outcomes:
                outcomes[event.task] = [_died(variants[event.task], event.exitcode)]
            if event.exitcode is not None:
                waiting.done(event.task)
                if not as_json:
                    show(screen, outcomes[event.task], figures)
    results = [result for i in range(len(variants)) for result in outcomes[i]]
    if as_json:
        print(json.dumps(results, indent=1))
    return 0 if all(result["status"] in GOOD for result in results) else 1


def _died(variant: str, exitcode: int) -> dict[str, Any]:
    message = f"the process ended with exit code {exitcode}"
    return {"variant": variant, "check": "process", "status": "failed", "message": message}


class Waiting:
    """Says on standard error how far the examination is: bars, or in a log now and then a line."""

    def __init__(self, variants: list[str]) -> None:
        self.variants = variants
        self.screen = Console(stderr=True, soft_wrap=True, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[law]}"),
            TimeElapsedColumn(),
            console=self.screen,
            transient=True,
            disable=not self.screen.is_terminal,
        )
        self.running: dict[int, TaskID] = {}
        self.said: dict[int, float] = {}

    def __enter__(self) -> "Waiting":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def at(self, task: int, law: str, done: int, total: int) -> None:
        """Show the law that is being examined."""
        name = self.variants[task]
        if self.screen.is_terminal:
            if task not in self.running:
                self.running[task] = self.bars.add_task(name, total=total, law=law)
            self.bars.update(self.running[task], completed=done, law=law)
        elif time.monotonic() - self.said.get(task, -_PAUSE) >= _PAUSE:
            self.said[task] = time.monotonic()
            self.screen.print(f"{name}: examining law {done + 1} of {total}, {law}", markup=False)

    def done(self, task: int) -> None:
        """Take a variant's bar away."""
        if task in self.running:
            self.bars.remove_task(self.running.pop(task))


GOOD = ("passed", "expected failure", "does not apply")
_WORDS = {"does not apply": "not applicable", "expected failure": "expected to fail"}
#: Laws without which the figures of all others mean nothing.
_FORM = ("sizes", "shapes", "finite")
#: So many laws that end in the same error have one cause, and their hints say nothing about it.
_COMMON = 4


def show(screen: Console, results: list[dict[str, Any]], figures: bool = False) -> None:
    """Print the results of one variant: verdict, remedies, warnings, and what does not apply.

    Args:
        screen: Where to.
        results: Of all laws.
        figures: Print all figures of the laws that are broken, not only the first.
    """
    bad = [result for result in results if result["status"] not in GOOD]
    _verdict(screen, results, bad)
    groups = _by_error(bad)
    if len(groups) > 1:
        first = groups[0][0]["check"]
        screen.print(Text(f"  Look at {first} first: what fails below it may follow from it."))
    told = groups[:1] if groups and groups[0][0]["check"] in _FORM else groups
    for place, group in enumerate(told):
        _broken(screen, group, place == 0, figures)
    rest = [result["check"] for group in groups[len(told) :] for result in group]
    if rest:
        screen.print(Text(f"  Broken too: {', '.join(rest)}; --json has their figures."))
    for result in results:
        for warning in result.get("warnings", ()):
            screen.print(Text(f"  warning ({result['check']}): {warning}", style="yellow"))
    for status in ("does not apply", "expected failure"):
        _named(screen, [result for result in results if result["status"] == status])


def _verdict(screen: Console, results: list[dict[str, Any]], bad: list[dict[str, Any]]) -> None:
    counts = ", ".join(
        f"{count} {_WORDS.get(status, status)}"
        for status in (*GOOD, "failed", "out of date")
        if (count := sum(result["status"] == status for result in results))
    )
    seconds = sum(result.get("seconds", 0.0) for result in results)
    verdict = f"breaks {len(bad)} of {len(results)} laws" if bad else "conforms"
    line = f"{results[0]['variant']} {verdict}: {counts} in {seconds:.1f} s"
    screen.print(Text(line, style="bold red" if bad else "green"))


def _named(screen: Console, results: list[dict[str, Any]]) -> None:
    """One line for each reason, with the laws that it holds for."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        declared = result["status"] == "expected failure"
        reason = f"declared under {result['law']!r}" if declared else result["message"]
        reasons.setdefault(reason, []).append(result["check"])
    for reason, names in reasons.items():
        word = _WORDS[results[0]["status"]]
        screen.print(Text(f"  {word}: {', '.join(names)} ({reason})", style="dim"))


def _by_error(bad: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Broken laws in order; those that end in one and the same error together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in bad:
        error = str(result["message"]).partition("\n")[0]
        common = sum(str(other["message"]).startswith(f"{error}\n") for other in bad) >= _COMMON
        key = error if common and error.startswith("raised ") else result["check"]
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def _broken(screen: Console, group: list[dict[str, Any]], first: bool, figures: bool) -> None:
    """Print a broken law, its remedy before its figures, or laws that end in the same error."""
    lines = str(group[0]["message"]).splitlines()
    if len(group) > 1:
        names = ", ".join(result["check"] for result in group)
        screen.print(Text(f"  {len(group)} laws fail alike: {names}", style="bold"))
        screen.print(Text(f"    {lines[0]}"))
        if group[0]["check"] in _FORM:
            screen.print(Text(f"    {lines[-1]}"))
        return
    found, mistake = (lines[:-1], lines[-1]) if len(lines) > 1 else ([], lines[0])
    name = group[0]["check"] if first else f"{group[0]['check']}, if it stays broken"
    screen.print(Text(f"  {name}: ", style="bold").append(mistake, style="not bold"))
    for line in found if figures else found[:1]:
        screen.print(Text(f"    {line}"))
    if len(found) > 1 and not figures:
        screen.print(Text(f"    … and {len(found) - 1} more figures: --figures shows them"))
