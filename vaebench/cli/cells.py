"""The commands that read what a run left: compare, show, evaluate."""

from pathlib import Path
from typing import Any

import click

from vaebench.cli.arguments import (
    CELL,
    JSON,
    RUN,
    finished,
    print_json,
    record,
    setting_options,
)
from vaebench.config.cell import Evaluation
from vaebench.config.declaration import declared
from vaebench.config.settings import from_dict
from vaebench.runs.schema import MetricRecord

#: Of a trained cell, what may be measured in another way.
_MEASURED = [s for s in declared(Evaluation) if s.name != "extractor"]


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
@CELL
@RUN
@setting_options(_MEASURED, defaults=False)
@click.option(
    "--steps", "ais_steps", type=click.IntRange(1), help="Steps of AIS; by default a pilot decides."
)
@click.option(
    "--compile", "ais_compile", is_flag=True, help="Compile AIS's steps: for long runs and GPUs."
)
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--fid-weights", type=Path, help="As in `vaebench run`.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
@JSON
def evaluate(cell: str, run: Path | None, as_json: bool, **options: Any) -> None:
    """Measure a trained cell again, with other metrics or more effort; the cell stays as it is.

    \b
    vaebench evaluate gaussian-digits-s0 --metrics ais,bdmc --steps 500
    """
    texts = {s.asked: options.pop(s.asked) for s in _MEASURED}
    asked = from_dict({k: v for k, v in texts.items() if v is not None}, "the command line", {})
    effort = {k: getattr(asked, k) for k, v in texts.items() if v is not None and k != "metrics"}
    effort |= {key: value for key in ("ais_steps", "ais_compile") if (value := options.pop(key))}
    folder, known = finished(cell, run)
    from vaebench.execution import reevaluate

    found = reevaluate.evaluate(folder, known, asked.metrics, effort, **options)
    if as_json:
        print_json(found)
    else:
        _print_metrics(found)


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
