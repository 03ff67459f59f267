"""Runs the conformance kit on installed variants, each in a process of its own. No torch."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.text import Text

from vaebench.engines import local
from vaebench.worker import chosen, examine

_WORDS = {"does not apply": "not applicable", "expected failure": "expected to fail"}
_GOOD = ("passed", "expected failure", "does not apply")


def check(names: tuple[str, ...], as_json: bool) -> int:
    """Examine variants and print the outcome.

    Returns:
        0 if every law holds or is declared broken, else 1.

    Raises:
        UserError: There is no such variant.
    """
    variants = local.call(chosen, names)
    screen = Console(soft_wrap=True, highlight=False)
    outcomes: dict[int, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        logs = [Path(folder) / str(i) for i in range(len(variants))]
        for event in local.run(examine, [(name,) for name in variants], logs, os.cpu_count() or 1):
            if event.exitcode is None:
                outcomes[event.task] = event.message
            elif event.task not in outcomes:
                outcomes[event.task] = [_died(variants[event.task], event.exitcode)]
            if event.exitcode is not None and not as_json:
                _show(screen, outcomes[event.task])
    results = [result for i in range(len(variants)) for result in outcomes[i]]
    if as_json:
        print(json.dumps(results, indent=1))
    return 0 if all(result["status"] in _GOOD for result in results) else 1


def _died(variant: str, exitcode: int) -> dict[str, Any]:
    message = f"the process ended with exit code {exitcode}"
    return {"variant": variant, "check": "process", "status": "failed", "message": message}


def _show(screen: Console, results: list[dict[str, Any]]) -> None:
    bad = [result for result in results if result["status"] not in _GOOD]
    counts = [
        (s, sum(r["status"] == s for r in results)) for s in (*_GOOD, "failed", "out of date")
    ]
    summary = ", ".join(
        f"{count} {_WORDS.get(status, status)}" for status, count in counts if count
    )
    seconds = sum(result.get("seconds", 0.0) for result in results)
    style = "red" if bad else "green"
    screen.print(Text(f"{results[0]['variant']}: {summary} in {seconds:.1f} s", style=style))
    for result in results:
        for warning in result.get("warnings", ()):
            screen.print(Text(f"  warning ({result['check']}): {warning}", style="yellow"))
    for result in bad:
        screen.print(Text(f"  {result['check']}: {result['status']}", style="bold"))
        for line in str(result["message"]).splitlines():
            screen.print(Text(f"    {line}"))
