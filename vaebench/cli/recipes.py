"""Shows the recipes and what has come out of them."""

from collections import Counter
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from vaebench.reproduction import recipe

_RESULTS = Path("results", "reproductions")


def show() -> None:
    """Print each recipe with its paper, its budgets, and the verdicts found under ``results``."""
    drawn = Table(box=None, pad_edge=False)
    for title in ("recipe", "table", "budget", "result"):
        drawn.add_column(title, overflow="fold", no_wrap=title in ("recipe", "budget"))
    for name in recipe.names():
        found = recipe.load(name)
        for index, budget in enumerate(found.budgets):
            first = (name, f"{found.title}: {found.paper}") if index == 0 else ("", "")
            drawn.add_row(*first, budget, _result(name, budget))
    screen = Console(soft_wrap=True, highlight=False, markup=False)
    screen.print(drawn, soft_wrap=False)
    screen.print(f"Results are those in {_RESULTS.absolute()}.")


def _result(name: str, budget: str) -> str:
    table = _RESULTS / name / budget / "table.csv"
    try:
        verdicts = pd.read_csv(table)["verdict"]
    except (OSError, ValueError, KeyError):
        return "not run"
    counts = Counter(str(verdict).partition(":")[0].partition(" (")[0] for verdict in verdicts)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
