"""One table of all rows that recipes gave, from the tables in results/reproductions.

    python benchmarks/reproductions.py

writes rows.md and rows.csv there: the rows with a published number and a measured one, each with
the part of the paper's passes that was made and its verdict, and how many there are of each kind.
"""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from vaebench.reproduction import recipe
from vaebench.runs import files

FOLDER = Path("results", "reproductions")
#: The beginnings of verdicts, the best first.
KINDS = ("reproduced in direction", "reproduced within", "reproduced", "not reproduced")


def kind(verdict: str) -> str:
    """The kind of a verdict, without its reason."""
    return next(each for each in KINDS if verdict.startswith(each))


def collected(folder: Path) -> pd.DataFrame:
    """The rows that hold a measured number against a published one, of the longest budget run."""
    found = []
    for name in recipe.names():
        for budget, plan in recipe.load(name).budgets.items():
            path = folder / name / budget / "table.csv"
            if path.is_file():
                table = pd.read_csv(path).dropna(subset=["paper", "measured"])
                table.insert(0, "recipe", name)
                table.insert(len(table.columns) - 1, "share", plan.share)
                found.append(table)
    return pd.concat(found).drop_duplicates(["recipe", "row"], ignore_index=True)


def counted(rows: pd.DataFrame) -> str:
    """How many rows there are of each kind."""
    counts = Counter(map(kind, rows["verdict"]))
    return f"{len(rows)} rows: " + ", ".join(f"{counts[each]} {each}" for each in KINDS) + "."


def page(rows: pd.DataFrame) -> str:
    """The table in Markdown, a section for each recipe and budget, with counts before them."""
    lines = [
        "# All rows",
        "",
        "Made by `python benchmarks/reproductions.py` from the tables in these folders: rows with "
        "a published number and a measured one, from the longest budget that was run. *Passes* is "
        "the share of the paper's that was made, where the paper says how many these are.",
        "",
        counted(rows),
    ]
    for (name, budget), part in rows.groupby(["recipe", "budget"], sort=False):
        lines += [
            "",
            f"## [{name}]({name}/{budget}), {budget} budget",
            "",
            "| row | paper | measured | 95 % interval | passes | verdict |",
            "|---|---:|---:|---:|---:|---|",
            *map(_line, part.to_dict("records")),
        ]
    return "\n".join([*lines, ""])


def _line(row: dict[Hashable, Any]) -> str:
    low, high = _number(row["ci_low"]), _number(row["ci_high"])
    passes = "" if pd.isna(row["share"]) else f"{100 * row['share']:.2g} %"
    shown = [
        *(row["row"], _number(row["paper"]), _number(row["measured"])),
        *(f"{low} … {high}" if low else "one seed", passes, row["verdict"]),
    ]
    return "| " + " | ".join(shown) + " |"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def main() -> None:
    """Write the table."""
    rows = collected(FOLDER)
    files.write_text(FOLDER / "rows.csv", rows.to_csv(index=False))
    files.write_text(FOLDER / "rows.md", page(rows))
    print(counted(rows))


if __name__ == "__main__":
    main()
