"""`vaebench tune`: the same number of trials for each variant, then default and chosen settings."""

import sys
from pathlib import Path
from typing import Any

import click

from vaebench.cli.arguments import NOTE, TITLE, setting_options
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
@click.option("--quick", is_flag=True, help="Measure with little effort, for a first look.")
@click.option("--config", type=Path, help="Settings from a run's config.yaml; flags override it.")
@click.option("--out", type=Path, help="Folder of the run.  [default: results/<data set>-<hash>]")
@TITLE
@NOTE
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--download", is_flag=True, help="Fetch data and weights that are missing.")
@click.option("--fid-weights", type=Path, help="Weights of the Inception network.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
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
