"""The commands that use a trained cell on pictures: sample, encode, decode."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaebench.cli.arguments import CELL, RUN, existing, trained, writable, writing
from vaebench.errors import UserError
from vaebench.runs import files

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.distributions import Distribution

#: Modes of pictures, in Pillow's names, that have no colour.
_GREY = ("1", "L", "LA", "I", "I;16", "F")


@click.command()
@CELL
@RUN
@click.option("--n", "count", default=64, type=click.IntRange(1, 4096), help="[default: 64]")
@click.option("--seed", default=0, help="[default: 0]")
@click.option("--out", type=Path, required=True, help="The PNG to write.")
def sample(cell: str, run: Path | None, count: int, seed: int, out: Path) -> None:
    """Draw pictures from a trained cell's prior and decoder.

    \b
    vaebench sample results/NAME/cells/CELL --n 64 --out grid.png
    """
    _png(out)
    model = trained(cell, run)
    _write_pictures(out, model.sample(count, seed))


@click.command()
@CELL
@click.argument("pictures", nargs=-1, required=True, type=Path)
@RUN
@click.option("--out", type=Path, required=True, help="The CSV to write.")
def encode(cell: str, pictures: tuple[Path, ...], run: Path | None, out: Path) -> None:
    """Write the posterior means of pictures, a row each, as CSV.

    z0, z1, … are E[z|x]; where the prior lives on a sphere, the mean of q lies inside of it.

    \b
    vaebench encode results/NAME/cells/CELL seven.png eight.png --out codes.csv
    """
    writable(out)
    for path in pictures:
        existing(path)
    model = trained(cell, run)
    import pandas as pd
    import torch

    codes = model.encode(torch.stack([model.read(path) for path in pictures])).numpy()
    _say_converted(pictures, model.shape)
    frame = pd.DataFrame(codes, columns=[f"z{i}" for i in range(codes.shape[1])])
    frame.insert(0, "picture", [str(path) for path in pictures])
    with writing(out):
        files.write_text(out, frame.to_csv(index=False))


@click.command()
@CELL
@click.argument("codes", type=Path)
@RUN
@click.option("--out", type=Path, required=True, help="The PNG to write.")
def decode(cell: str, codes: Path, run: Path | None, out: Path) -> None:
    """Decode a CSV of codes, such as `vaebench encode` writes, to pictures.

    \b
    vaebench decode results/NAME/cells/CELL codes.csv --out pictures.png
    """
    _png(out)
    existing(codes)
    given = _codes(codes)
    model = trained(cell, run)
    import torch

    prior = model.model.posterior.prior()
    wanted = prior.event_shape[-1]
    if given.shape[1] != wanted:
        raise UserError(
            f"{codes} has {given.shape[1]} columns of codes; the cell takes {wanted}, "
            f"z0 to z{wanted - 1}."
        )
    z = torch.from_numpy(given)
    _say_outside(prior, z)
    _write_pictures(out, model.decode(z))


def _codes(path: Path) -> "np.ndarray":
    """The columns z0, z1, … of a CSV as (N, D); UserError where they hold no codes."""
    import pandas as pd

    try:
        z = pd.read_csv(path).filter(regex=r"^z\d+$").to_numpy("float32")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a CSV of codes z0, z1, …") from error
    if not z.size or not (abs(z) < 1e6).all():
        raise UserError(f"{path} must hold finite numbers in columns z0, z1, …, a row each code.")
    return z


def _say_converted(pictures: Iterable[Path], shape: tuple[int, int, int]) -> None:
    """Say on standard error which pictures are not of the data set's size and colour."""
    from PIL import Image

    channels, height, width = shape
    wanted = _kind(width, height, channels == 1)
    others: dict[str, list[Path]] = {}
    for path in pictures:
        with Image.open(path) as picture:
            kind = _kind(*picture.size, picture.mode in _GREY)
        if kind != wanted:
            others.setdefault(kind, []).append(path)
    for kind, paths in others.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        click.echo(f"Converted {paths[0]}{more}: {kind} → {wanted}.", err=True)


def _kind(width: int, height: int, grey: bool) -> str:
    return f"{width}×{height} {'grey' if grey else 'colour'}"


def _say_outside(prior: "Distribution", z: "Tensor") -> None:
    """Say on standard error how many of the codes (N, D) the prior cannot draw."""
    from vaebench.models.distributions import inside

    if count := int((~inside(prior, z)).sum()):
        click.echo(
            f"{count} of {len(z)} codes lie outside the support of the prior, where the decoder "
            "was never trained: what their pictures show means little.",
            err=True,
        )


def _png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UserError(f"--out {path} is a PNG picture; let its name end in .png.")
    writable(path)


def _write_pictures(out: Path, pictures: "Tensor") -> None:
    from vaebench.evaluation.grid import grid

    with writing(out):
        files.write_bytes(out, grid(pictures))
