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
)
from vaebench.config.names import split
from vaebench.errors import UserError


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
@click.option("--metrics", default="default", help="As in `vaebench run`.  [default: default]")
@click.option(
    "--steps", "ais_steps", type=click.IntRange(1), help="Steps of AIS; by default a pilot decides."
)
@click.option("--ais-target", type=float, help="Nats that errors and BDMC gap shall stay below.")
@click.option("--ais-budget", type=click.IntRange(1), help="Decoder gradients for each image.")
@click.option("--ais-images", type=click.IntRange(1), help="Test images for AIS.")
@click.option(
    "--compile", "ais_compile", is_flag=True, help="Compile AIS's steps: for long runs and GPUs."
)
@click.option("--iw-samples", type=click.IntRange(1), help="K of the importance-weighted bound.")
@click.option("--iw-images", type=click.IntRange(1), help="Test images for that bound.")
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--fid-weights", type=Path, help="As in `vaebench run`.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
@JSON
def evaluate(cell: str, run: Path | None, metrics: str, as_json: bool, **options: Any) -> None:
    """Measure a trained cell again, with other metrics or more effort; the cell stays as it is.

    \b
    vaebench evaluate gaussian-digits-s0 --metrics ais,bdmc --steps 500
    """
    chosen = tuple(split(metrics))
    if not chosen:
        raise UserError("--metrics is empty; name some, or leave it out.")
    if options["ais_target"] is not None and not options["ais_target"] > 0:
        raise UserError("--ais-target must be positive.")
    place = {key: options.pop(key) for key in ("data_dir", "fid_weights", "device")}
    folder, known = finished(cell, run)
    from vaebench.execution import reevaluate

    effort = {key: value for key, value in options.items() if value}
    found = reevaluate.evaluate(folder, known, chosen, effort, **place)
    if as_json:
        print_json(found)
    else:
        _print_metrics(found)


def _print_metrics(found: dict[str, dict[str, Any]]) -> None:
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
