"""Runs the conformance kit on installed variants, each in a process of its own. No torch."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vaebench import verdicts
from vaebench.engines import local
from vaebench.worker import chosen, examine

#: Seconds between two lines about a variant where no bar can be drawn.
_PAUSE = 10.0


def check(names: tuple[str, ...], as_json: bool) -> int:
    """Examine variants and print the outcome.

    Returns:
        0 if every law holds or is declared broken, else 1.

    Raises:
        UserError: There is no such variant.
    """
    variants = local.call(chosen, names)
    outcomes: dict[int, list[dict[str, Any]]] = {}
    screen = Console(soft_wrap=True, highlight=False)
    with TemporaryDirectory() as folder, _Waiting(variants) as waiting:
        logs = [Path(folder) / str(i) for i in range(len(variants))]
        for event in local.run(examine, [(name,) for name in variants], logs, os.cpu_count() or 1):
            if event.exitcode is None and isinstance(event.message, tuple):
                waiting.at(event.task, *event.message)
            elif event.exitcode is None:
                outcomes[event.task] = event.message
            elif event.task not in outcomes:
                outcomes[event.task] = [_died(variants[event.task], event.exitcode)]
            if event.exitcode is not None:
                waiting.done(event.task)
                if not as_json:
                    verdicts.show(screen, outcomes[event.task])
    results = [result for i in range(len(variants)) for result in outcomes[i]]
    if as_json:
        print(json.dumps(results, indent=1))
    return 0 if all(result["status"] in verdicts.GOOD for result in results) else 1


def _died(variant: str, exitcode: int) -> dict[str, Any]:
    message = f"the process ended with exit code {exitcode}"
    return {"variant": variant, "check": "process", "status": "failed", "message": message}


class _Waiting:
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

    def __enter__(self) -> "_Waiting":
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
