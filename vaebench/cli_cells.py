"""The commands that read and use what a run left: compare, show, sample, encode, decode."""

from pathlib import Path
from typing import Any

import click

from vaebench.errors import UserError

_CELL = click.argument("cell")
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")
_RUN = click.option("--run", type=Path, help="The run.  [default: the newest in results]")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="A B...")
@_RUN
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
    from vaebench import differences
    from vaebench.report import versus

    found = differences.compare(names, run, metrics)
    if as_json:
        _print_json([one.plain() for one in found])
    elif out:
        click.echo(versus.page(found, out))
    else:
        from rich.console import Console

        screen = Console(highlight=False)
        for part in versus.terminal(found):
            screen.print(part)


@click.command()
@_CELL
@_RUN
@_JSON
def show(cell: str, run: Path | None, as_json: bool) -> None:
    """Show one cell: settings, metrics, timings, why it failed, how to repeat it.

    CELL is its folder, or its name (or the beginning of it) in a run.

    \b
    vaebench show gaussian-digits-s0 --run results/NAME
    """
    from vaebench import details

    folder, record = _record(cell, run)
    if as_json:
        _print_json(record)
    else:
        details.show(folder, record)


@click.command()
@_CELL
@_RUN
@click.option("--n", "count", default=64, type=click.IntRange(1, 4096), help="[default: 64]")
@click.option("--seed", default=0, help="[default: 0]")
@click.option("--out", type=Path, required=True, help="The PNG to write.")
def sample(cell: str, run: Path | None, count: int, seed: int, out: Path) -> None:
    """Draw pictures from a trained cell's prior and decoder.

    \b
    vaebench sample results/NAME/cells/CELL --n 64 --out grid.png
    """
    from vaebench.pictures import grid

    _png(out)
    trained = _trained(cell, run)
    _write(out, grid(trained.sample(count, seed)))


@click.command()
@_CELL
@click.argument("pictures", nargs=-1, required=True, type=Path)
@_RUN
@click.option("--out", type=Path, required=True, help="The CSV to write.")
def encode(cell: str, pictures: tuple[Path, ...], run: Path | None, out: Path) -> None:
    """Write the posterior means of pictures, a row each, as CSV.

    \b
    vaebench encode results/NAME/cells/CELL seven.png eight.png --out codes.csv
    """
    import pandas as pd
    import torch

    trained = _trained(cell, run)
    codes = trained.encode(torch.stack([trained.read(path) for path in pictures])).numpy()
    frame = pd.DataFrame(codes, columns=[f"z{i}" for i in range(codes.shape[1])])
    frame.insert(0, "picture", [str(path) for path in pictures])
    _write(out, frame.to_csv(index=False).encode())


@click.command()
@_CELL
@click.argument("codes", type=Path)
@_RUN
@click.option("--out", type=Path, required=True, help="The PNG to write.")
def decode(cell: str, codes: Path, run: Path | None, out: Path) -> None:
    """Decode a CSV of codes, such as `vaebench encode` writes, to pictures.

    \b
    vaebench decode results/NAME/cells/CELL codes.csv --out pictures.png
    """
    import pandas as pd
    import torch

    from vaebench.pictures import grid

    _png(out)
    trained = _trained(cell, run)
    try:
        z = pd.read_csv(codes).filter(regex=r"^z\d+$").to_numpy("float32")
    except (OSError, ValueError) as error:
        raise UserError(f"{codes} cannot be read as a CSV of codes z0, z1, …") from error
    wanted = trained.model.posterior.prior().event_shape[-1]
    if z.ndim != 2 or z.shape[1] != wanted or not len(z) or not (abs(z) < 1e6).all():
        raise UserError(
            f"{codes} must hold finite numbers in {wanted} columns z0 to z{wanted - 1}."
        )
    _write(out, grid(trained.decode(torch.from_numpy(z))))


@click.command()
@_CELL
@_RUN
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
    from vaebench import reevaluation
    from vaebench.spelling import split

    if options["ais_target"] is not None and not options["ais_target"] > 0:
        raise UserError("--ais-target must be positive.")
    place = {key: options.pop(key) for key in ("data_dir", "fid_weights", "device")}
    folder, record = _record(cell, run)
    found = reevaluation.evaluate(
        folder, record, tuple(split(metrics)), {k: v for k, v in options.items() if v}, **place
    )
    if as_json:
        _print_json(found)
    else:
        reevaluation.show(found)


def _record(cell: str, run: Path | None) -> tuple[Path, dict[str, Any]]:
    """A cell's run and record, from the path of its folder, or its name in a run."""
    from vaebench.differences import newest
    from vaebench.loading import load

    path = Path(cell)
    if run is None and path.is_dir() and path.resolve().parent.name == "cells":
        run, cell = path.resolve().parent.parent, path.resolve().name
    found = load(run or newest())
    return found.folder, found.records[found.find(cell)]


def _trained(cell: str, run: Path | None) -> Any:
    from vaebench.trained import restore

    return restore(*_record(cell, run))


def _png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UserError(f"--out {path} is a PNG picture; let its name end in .png.")


def _write(path: Path, content: bytes) -> None:
    from vaebench import store

    try:
        store.write_bytes(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    click.echo(path)


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=1))


COMMANDS = (compare, show, evaluate, sample, encode, decode)
