"""The commands that read what a run left: compare, show, evaluate."""

from pathlib import Path
from typing import Any

import click

from vaebench.cli_given import CELL, RUN, finished, record, writable, writing
from vaebench.cli_pictures import decode, encode, sample
from vaebench.errors import UserError
from vaebench.spelling import split

_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="A B...")
@RUN
@click.option("--metric", "metrics", multiple=True, help="Only this one; may be given again.")
@click.option("--out", type=Path, help="Write a page instead of printing.")
@_JSON
def compare(
    names: tuple[str, ...],
    run: Path | None,
    metrics: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Hold variants of a run, or whole runs, against the first one named.

    \b
    vaebench compare gaussian iwae --run results/NAME --metric log_likelihood_ais
    vaebench compare results/before results/after --out differences.html
    """
    if out:
        writable(out)
    from vaebench import differences
    from vaebench.report import versus

    found = differences.compare(names, run, metrics)
    if as_json:
        _print_json([one.plain() for one in found])
    elif out:
        with writing(out):
            versus.page(found, out)
    else:
        from rich.console import Console

        screen = Console(highlight=False)
        for part in versus.terminal(found):
            screen.print(part)


@click.command()
@CELL
@RUN
@_JSON
def show(cell: str, run: Path | None, as_json: bool) -> None:
    """Show one cell: settings, metrics, timings, why it failed, how to repeat it.

    CELL is its folder, or its name (or the beginning of it) in a run.

    \b
    vaebench show gaussian-digits-s0 --run results/NAME
    """
    from vaebench import details

    folder, found = record(cell, run)
    if as_json:
        _print_json(found)
    else:
        click.echo(f"Run {folder}")
        details.show(folder, found)


@click.command()
@CELL
@RUN
@click.option("--metrics", default="default", help="As in `vaebench run`.  [default: default]")
@click.option("--steps", type=click.IntRange(1), help="Steps of AIS; by default a pilot decides.")
@click.option("--ais-target", type=float, help="Nats that errors and BDMC gap shall stay below.")
@click.option("--ais-budget", type=click.IntRange(1), help="Decoder gradients for each image.")
@click.option("--ais-images", type=click.IntRange(1), help="Test images for AIS.")
@click.option("--compile", is_flag=True, help="Compile AIS's steps: for long runs and GPUs.")
@click.option("--iw-samples", type=click.IntRange(1), help="K of the importance-weighted bound.")
@click.option("--iw-images", type=click.IntRange(1), help="Test images for that bound.")
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--fid-weights", type=Path, help="As in `vaebench run`.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
@_JSON
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
    from vaebench import reevaluation

    effort = {key: value for key, value in options.items() if value}
    found = reevaluation.evaluate(folder, known, chosen, effort, **place)
    if as_json:
        _print_json(found)
    else:
        reevaluation.show(found)


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=1))


COMMANDS = (compare, show, evaluate, sample, encode, decode)
