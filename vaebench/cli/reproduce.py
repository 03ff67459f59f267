"""`vaebench reproduce`: published tables, run again."""

import sys
from pathlib import Path
from typing import Any

import click

from vaebench.errors import UserError


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="Show the recipes.")
@click.option("--budget", default="short", help="full, long or short.  [default: short]")
@click.option("--out", type=Path, help="Folder.  [default: results/reproductions/<name>/<budget>]")
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--download", is_flag=True, help="Fetch data and weights that are missing.")
@click.option("--fid-weights", type=Path, help="Weights of the Inception network.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
@click.option("--jobs", type=int, help="Cells at a time.  [default: one a core, one on a GPU]")
@click.option("--pack", type=int, default=1, help="Cells that share a GPU.  [default: 1]")
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Print the cells and how long they may take.")
def reproduce(name: str | None, listing: bool, budget: str, **options: Any) -> None:
    """Run a published table again, and hold each number against the paper's.

    NAME is a recipe of `vaebench reproduce --list`, or the path of your own YAML file.

    \b
    vaebench reproduce iwae-table1 --budget short --data-dir ~/data
    """
    from vaebench.cli import recipes
    from vaebench.execution import driver
    from vaebench.reproduction import run

    if listing:
        recipes.show()
    elif name is None:
        raise UserError("Name a recipe; `vaebench reproduce --list` shows them.")
    else:
        sys.exit(run.reproduce(name, budget, driver.Where(quiet=True, **options)))
