"""The commands that read what a run left: compare, show, evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaebench.cli.arguments import (
    CELL,
    CELLS,
    JSON,
    RUN,
    chosen,
    place_options,
    print_json,
    record,
    setting_options,
)
from vaebench.config.cell import Evaluation
from vaebench.config.declaration import declared
from vaebench.config.settings import from_dict
from vaebench.runs.schema import MetricRecord

if TYPE_CHECKING:
    from vaebench.execution.forecast import Forecast

#: Of a trained cell, what may be measured in another way.
_MEASURED = declared(Evaluation)


@click.command()
@CELL
@RUN
@JSON
def show(cell: str, run: Path | None, as_json: bool) -> None:
    """Show one cell: settings, metrics, timings, why it failed, how to repeat it.

    CELL is its folder, or its name (or the beginning of it) in a run.

    \b
    vaebench show gaussian-digits-s0 --run results/NAME
    """
    from vaebench.cli import details

    folder, found = record(cell, run)
    if as_json:
        print_json(found)
    else:
        click.echo(f"Run {folder}")
        details.show(folder, found)


@click.command()
@CELLS
@RUN
@setting_options(_MEASURED, defaults=False)
@click.option("--again", is_flag=True, help="Replace numbers of as much effort.")
@click.option("--dry-run", is_flag=True, help="Print what would be measured and how long it takes.")
@click.option("--no-write", is_flag=True, help="Measure and print; the run stays as it is.")
@click.option("--steps", type=click.IntRange(1), help="Steps of AIS; by default a pilot decides.")
@click.option(
    "--compile", "compiled", is_flag=True, help="Compile AIS's steps: for long runs and GPUs."
)
@click.option("--jobs", type=click.IntRange(1), help="As in `vaebench run`.")
@place_options
@JSON
def evaluate(
    cells: tuple[str, ...],
    run: Path | None,
    again: bool,
    dry_run: bool,
    no_write: bool,
    steps: int | None,
    compiled: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure trained cells from their weights, with other metrics or more effort.

    What is missing is measured and added to records, tables and page; a number is replaced by one
    of more effort. Name a run for all its finished cells, or some of them after it, or cells.

    \b
    vaebench evaluate results/NAME --metrics probe,ais --ais-budget 20000
    vaebench evaluate gaussian-digits-s0 --metrics ais,bdmc --ais-target 0.05
    """
    texts = {s.asked: options.pop(s.asked) for s in _MEASURED}
    given = {name: text for name, text in texts.items() if text is not None}
    asked = from_dict(given, "the command line", {})
    changes = {name: getattr(asked, name) for name in given}
    folder, names = chosen(cells, run)
    from vaebench.execution import driver, reevaluate

    where = driver.Where(quiet=as_json, **options)
    where.check()
    wish = reevaluate.Wish(changes, steps, compiled, again)
    if dry_run:
        _print_forecasts(reevaluate.preview(folder, names, wish, where), as_json)
        return
    found = reevaluate.evaluate(folder, names, wish, where, not no_write)
    if as_json:
        print_json(found[names[0]] if len(cells) == len(names) == 1 else found)
    else:
        for name in names:
            if len(names) > 1:
                click.echo(f"\n{name}" if name != names[0] else name)
            _print_metrics(found[name])
    if not no_write:
        from vaebench import report

        made = report.write(folder)
        if not as_json:
            click.echo(f"Report: {made.page}")


def _print_forecasts(found: list["Forecast"], as_json: bool) -> None:
    """Print what would be measured of each cell, and how long all of it may take."""
    from dataclasses import asdict

    from vaebench.execution.forecast import table

    if as_json:
        print_json([asdict(one) | {"seconds": one.seconds} for one in found])
        return
    for one in found:
        click.echo(f"{one.cell}  {', '.join(one.columns) or 'nothing is left to measure'}")
    if any(one.columns for one in found):
        click.echo("One cell after the other, judging by what it took before:")
        click.echo("\n".join(table(found)))


def _print_metrics(found: dict[str, MetricRecord]) -> None:
    """Print the metrics with what they depend on."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False)
    for title in ("metric", "value", "±", "unit", "depends on"):
        drawn.add_column(title, no_wrap=title == "metric", overflow="fold")
    for name, one in found.items():
        depends = ", ".join(f"{key} {value}" for key, value in one["depends"].items())
        notes = [depends, one["warning"] or "", one["reason"] or ""]
        value, se = (f"{x:.6g}" if x is not None else "" for x in (one["value"], one["se"]))
        cells = (name, value or "n/a", se, one["unit"], "; ".join(filter(None, notes)))
        drawn.add_row(*map(Text, cells))
    Console().print(drawn)
