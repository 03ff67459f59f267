"""`vaebench tune`: the same number of trials for each variant, then default and chosen settings."""

import sys
from pathlib import Path
from typing import Any

import click

from vaebench.cli.arguments import (
    CONFIG,
    FIRST_LOOK,
    NOTE,
    OUT,
    TITLE,
    place_options,
    setting_options,
)
from vaebench.cli.completion import names
from vaebench.cli.run import asked
from vaebench.config.cell import SETTINGS


@click.command()
@click.argument("variants", nargs=-1, shell_complete=names("plugin"))
@click.option("--trials", type=int, default=20, help="Trials of each variant.  [default: 20]")
@click.option(
    "--criterion",
    default="iwae",
    help="What trials are measured by on validation items: iwae or ais.  [default: iwae]",
)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="TEXT",
    help="What is searched: lr=1e-3..1e-2, kl_warmup=off, 'gmm[components=2|4|8]'; repeatable.",
)
@setting_options(SETTINGS)
@FIRST_LOOK
@CONFIG
@OUT
@TITLE
@NOTE
@place_options
@click.option("--jobs", type=int, help="Trials and cells at a time, as in `vaebench run`.")
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Print what is searched, the cells and their time.")
@click.option("--cell-timeout", type=float, help="Seconds after which a trial or cell has failed.")
@click.option("--cell-memory", type=float, help="GiB of memory that one may have on the host.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the path of the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the records of all cells as JSON.")
def tune(
    variants: tuple[str, ...],
    trials: int,
    criterion: str,
    spaces: tuple[str, ...],
    config: Path | None,
    quick: bool,
    **options: Any,
) -> None:
    """Tune every variant with as many trials, then compare default and chosen settings.

    Trials are measured on validation items, with a seed of their own; what is chosen is run beside
    the defaults with the seeds of --seeds. Broken off, the same command goes on.

    \b
    vaebench tune gaussian iwae beta-vae --trials 20 --seeds 0..4 --critic none
    """
    from vaebench.execution import driver
    from vaebench.execution.tune import Search
    from vaebench.execution.tune import tune as search

    settings = asked(variants, config, quick, options)
    sys.exit(search(settings, Search(trials, criterion, spaces), driver.Where(**options)))
