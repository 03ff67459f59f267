"""The commands that use a trained cell on pictures or texts: sample, encode, decode."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaebench.cli.arguments import CELL, RUN, existing, trained, writable, writing
from vaebench.errors import UserError, printable
from vaebench.runs import files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor
    from torch.distributions import Distribution

#: What a column of codes may look like whose name is mistyped.
_CODE = re.compile(r"\s*z[\s_.-]*\d+\s*", re.IGNORECASE)
#: Codes beyond it are mistakes.
_LARGEST = 1e6


GIVEN = click.option(
    "--given", help="Of a data set with a condition: the class, or a picture's left half."
)
ITEMS = click.option("--out", type=Path, required=True, help="The PNG, or TXT of text, to write.")


@click.command()
@CELL
@RUN
@click.option("--n", "count", default=64, type=click.IntRange(1, 4096), help="[default: 64]")
@click.option("--seed", default=0, help="[default: 0]")
@GIVEN
@ITEMS
def sample(
    cell: str, run: Path | None, count: int, seed: int, given: str | None, out: Path
) -> None:
    """Draw pictures or texts from a trained cell's prior and decoder.

    Where the model is told classes, these come in turn unless --given says one.

    \b
    vaebench sample results/NAME/cells/CELL --n 64 --out grid.png
    """
    writable(out)
    model = trained(cell, run, out)
    _write(out, model.written(model.sample(count, seed, given)))


@click.command()
@CELL
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=Path)
@RUN
@GIVEN
@click.option("--out", type=Path, required=True, help="The CSV to write.")
def encode(
    cell: str, paths: tuple[Path, ...], run: Path | None, given: str | None, out: Path
) -> None:
    """Write the posterior means of pictures, or of the lines of texts, a row each, as CSV.

    z0, z1, … are E[z|x]; where the prior lives on a sphere, the mean of q lies inside of it.
    Pictures are read as those of the data set: the middle is cut out, and what else is changed
    is said. Words of texts are looked up as they are, and those that are not known are said.

    \b
    vaebench encode results/NAME/cells/CELL seven.png eight.png --out codes.csv
    """
    writable(out)
    for path in paths:
        existing(path)
    model = trained(cell, run)
    names, items, remarks = model.found(paths)
    codes = model.encode(items, given).numpy()
    for remark in remarks:
        click.echo(printable(remark), err=True)
    import pandas as pd

    from vaebench.runs.frames import inert

    frame = pd.DataFrame(codes, columns=[f"z{i}" for i in range(codes.shape[1])])
    frame.insert(0, model.noun, [inert(name) for name in names])
    _write(out, frame.to_csv(index=False).encode("utf-8", "replace"))


@click.command()
@CELL
@click.argument("codes", type=Path)
@RUN
@GIVEN
@ITEMS
def decode(cell: str, codes: Path, run: Path | None, given: str | None, out: Path) -> None:
    """Decode a CSV of codes, such as `vaebench encode` writes, to pictures or texts.

    Its columns z0, z1, … are found by their names, in whatever order they stand. Of texts each
    word is the most probable one behind those before it.

    \b
    vaebench decode results/NAME/cells/CELL codes.csv --out pictures.png
    """
    writable(out)
    existing(codes)
    table = _table(codes)
    model = trained(cell, run, out)
    import torch

    z = torch.from_numpy(_codes(codes, table, model.latent))
    _say_outside(model.prior(len(z), given), z)
    _write(out, model.written(model.decode(z, given)))


def _table(path: Path) -> "pd.DataFrame":
    """A CSV as texts, its first row the names of the columns; UserError if it is none."""
    import pandas as pd

    try:
        rows = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a CSV of codes z0, z1, …") from error
    table = rows.iloc[1:]
    table.columns = pd.Index([str(name).strip() for name in rows.iloc[0]])
    return table


def _codes(path: Path, table: "pd.DataFrame", latent: int) -> "np.ndarray":
    """The columns z0 to z(D-1) of a table as codes (N, D), wherever they stand.

    Raises:
        UserError: One is missing, there twice or no number, or there are others.
    """
    wanted = [f"z{i}" for i in range(latent)]
    given = [name for name in table.columns if _CODE.fullmatch(name)]
    takes = f"the cell takes z0 to z{latent - 1}" if latent > 1 else "the cell takes z0"
    if lacking := [name for name in wanted if name not in given]:
        there = f"columns {_some(table.columns)}"
        raise UserError(f"{path} has no column {_some(lacking)}; {takes}, the file has {there}.")
    if others := [name for name in given if name not in wanted]:
        raise UserError(f"{path} has a column {_some(others)}; {takes}.")
    if twice := [name for name in wanted if given.count(name) > 1]:
        raise UserError(f"{path} has the column {_some(twice)} more than once; leave one.")
    try:
        z = table[wanted].to_numpy("float64").astype("float32")
    except ValueError as error:
        raise UserError(f"{path} must hold numbers in its columns z0, z1, … ({error}).") from error
    if not len(z) or not (abs(z) < _LARGEST).all():
        raise UserError(f"{path} must hold finite numbers in columns z0, z1, …, a row each code.")
    return z


def _some(names: Iterable[str], most: int = 6) -> str:
    shown = [ascii(name)[1:-1] for name in names]
    return ", ".join([*shown[:most], f"… ({len(shown)} in all)"] if len(shown) > most else shown)


def _say_outside(prior: "Distribution", z: "Tensor") -> None:
    """Say on standard error how many of the codes (N, D) the prior cannot draw."""
    from vaebench.models.distributions import inside

    if count := int((~inside(prior, z)).sum()):
        click.echo(
            f"{count} of {len(z)} codes lie outside the support of the prior, where the decoder "
            "was never trained: what they are decoded to means little.",
            err=True,
        )


def _write(out: Path, content: bytes) -> None:
    with writing(out):
        files.write_bytes(out, content)
