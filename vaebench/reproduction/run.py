"""Runs a recipe and writes its table, its pictures and the page that shows them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd

from vaebench.config.settings import run_name
from vaebench.errors import UserError, unknown
from vaebench.execution import driver
from vaebench.reproduction import course, curves, recipe, table
from vaebench.reproduction.recipe import Recipe
from vaebench.runs import files, frames
from vaebench.runs.records import cells
from vaebench.runs.schema import Record


def reproduce(name: str, budget: str, where: driver.Where) -> int:
    """Run what is missing of a recipe and write its table, its pictures and ``README.md``.

    Args:
        name: A recipe that comes with vaebench, or the path of one.
        budget: ``full``, ``long`` or ``short``.
        where: Where to compute; its folder is ``results/reproductions/<name>/<budget>`` unless it
            names another.

    Returns:
        0 if all cells are finished, 1 if some failed.

    Raises:
        UserError: There is no such recipe, or it cannot be run.
    """
    asked = recipe.load(name)
    if budget not in asked.budgets:
        raise unknown(f"budget of {asked.name}:", budget, asked.budgets)
    folder = where.out or Path("results", "reproductions", asked.name, budget)
    table.published(asked)
    parts = [(folder / "runs" / run_name(run), run) for run in asked.runs(budget)]
    codes = [driver.run(run, replace(where, out=path)) for path, run in parts]
    if not where.dry_run:
        paths = dict.fromkeys(path for path, _ in parts)
        write(asked, budget, folder, [path for path in paths if (path / "cells").is_dir()])
        print(folder / "README.md")
    return max(codes)


def write(asked: Recipe, budget: str, folder: Path, runs: list[Path]) -> None:
    """Write the table, the pictures and the page of a recipe from its runs."""
    by_run = {run: cells(run) for run in runs}
    records = [record for of_run in by_run.values() for record in of_run]
    if not records:
        raise UserError(f"No cell of {asked.name} has finished; see the log in {folder}/runs.")
    histories = {
        cell: history
        for run, of_run in by_run.items()
        for cell, history in frames.histories(run, of_run).items()
    }
    every = frames.frame(folder, records, histories)
    extra = pd.DataFrame([table.readings(asked, r) for r in records], every.index)
    done = pd.concat([every, extra], axis=1)[every["status"] == "done"]
    found = table.rows(asked, budget, done)
    frame = table.frame(asked, budget, found)
    gaps = course.png(asked, budget, found, done, histories)
    files.write_text(folder / "cells.csv", frames.csv(every))
    files.write_text(folder / "table.csv", frame.to_csv(index=False, float_format="%.6g"))
    files.write_bytes(folder / "curves.png", curves.png(asked, found))
    if gaps:
        files.write_bytes(folder / "gaps.png", gaps)
    files.write_text(folder / "README.md", _page(asked, budget, found, records, bool(gaps)))


def _page(
    asked: Recipe, budget: str, found: list[table.Row], records: list[Record], gaps: bool
) -> str:
    plan = asked.budgets[budget]
    done = [record for record in records if record["status"] == "done"]
    lines = [
        f"# {asked.title}",
        "",
        f"{asked.paper}; recipe `{asked.name}`, {budget} budget. Made by "
        f"`vaebench reproduce {asked.name} --budget {budget}`.",
        "",
        f"**The paper's setting.** {asked.setup.strip()}",
        "",
        f"**What was run.** {plan.says.strip()}",
        "",
        "| row | paper | measured | 95 % interval | seeds | difference | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
        *map(_line, found, table.frame(asked, budget, found)["row"]),
        "",
        "![Published curves dashed, measured ones with intervals](curves.png)",
        "",
        "Intervals are Student's over seeds. A row is *reproduced* if the paper's number is within "
        "the recipe's tolerance, or in an interval at most four of them wide; *in direction* if it "
        "stands on the paper's side of the row that the paper compares it with, beyond doubt over "
        "seeds. Each row is judged by itself.",
        "",
        *([_GAPS, ""] if gaps else []),
        *([asked.notes.strip(), ""] if asked.notes else []),
        _made(done),
        "",
    ]
    return "\n".join(lines)


_GAPS = (
    "![How far each row was from the paper during training](gaps.png)\n\n"
    "Each line is the objective on validation images, the mean over seeds, moved so that it ends "
    "at the measured distance; the band is what counts as near. It shows where a row is going, "
    "under a schedule of this length."
)


def _line(row: table.Row, name: str) -> str:
    low, high = row.bounds
    paper = _number(row.published.value) if row.published else ""
    gap = _number(row.measured - row.published.value) if row.published and len(row.seeds) else ""
    cells = [
        *(name, paper, _number(row.measured), f"{_number(low)} … {_number(high)}"),
        *(str(len(row.seeds)), gap, row.verdict),
    ]
    return "| " + " | ".join(cell if cell != " … " else "" for cell in cells) + " |"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4g}" if abs(value) < 10 else f"{value:.2f}"


def _made(done: list[Record]) -> str:
    """On what, with what and for how long the cells were computed."""
    hardware = {str(r["hardware"].get("device")) for r in done}
    versions = {name: v for r in done for name, v in r["versions"].items()}
    spent = sum(r["timings"].get("total", 0.0) for r in done)
    shown = ", ".join(f"{name} {v}" for name, v in versions.items())
    return (
        f"{len(done)} cells on {', '.join(sorted(hardware))}, {timedelta(seconds=round(spent))} of "
        f"cell time in all; {shown}."
    )
