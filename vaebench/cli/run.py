"""`vaebench run`: settings from flags and files."""

import sys
from pathlib import Path
from typing import Any

import click

from vaebench.cli.arguments import CONFIG, FIRST_LOOK, NOTE, OUT, TITLE, setting_options
from vaebench.cli.completion import names
from vaebench.config.cell import QUICK, SETTINGS
from vaebench.config.settings import Settings, from_dict
from vaebench.errors import UserError
from vaebench.runs.frozen import told


@click.command()
@click.argument("variants", nargs=-1, shell_complete=names("plugin"))
@setting_options(SETTINGS)
@FIRST_LOOK
@CONFIG
@OUT
@TITLE
@NOTE
@click.option(
    "--data-dir",
    type=Path,
    envvar="VAEBENCH_DATA",
    help="Data in torchvision's layout.  [default: $VAEBENCH_DATA, or data]",
)
@click.option("--download", is_flag=True, help="Fetch data and weights that are missing.")
@click.option("--fid-weights", type=Path, help="Weights of the Inception network.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps.  [default: auto]")
@click.option("--jobs", type=int, help="Cells at a time.  [default: one a core, one on a GPU]")
@click.option("--pack", type=int, default=1, help="Cells that share a GPU.  [default: 1]")
@click.option("--devices", type=int, default=1, help="Train each cell on so many.  [default: 1]")
@click.option("--strategy", default="auto", help="auto or ddp: batches divided among devices.")
@click.option("--compile", "compiled", is_flag=True, help="Train with compiled networks.")
@click.option(
    "--replay/--no-replay",
    default=True,
    help="On a GPU, record training steps and play them again.  [default: yes]",
)
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Print the cells and how long they may take.")
@click.option("--cell-timeout", type=float, help="Seconds after which a cell has failed.")
@click.option("--cell-memory", type=float, help="GiB of memory that a cell may have on the host.")
@click.option(
    "--checkpoint-every", type=float, default=60.0, help="Seconds of training.  [default: 60]"
)
@click.option("--engine", default="local", help="local or ray.  [default: local]")
@click.option("--address", help="Ray cluster to use; without it one is started here.")
@click.option("--gpus-per-cell", type=float, default=0.0, help="With Ray: 0.25 packs four a GPU.")
@click.option("--logger", default="", help="Trackers: tensorboard, wandb, mlflow; with commas.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but the path of the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the records of all cells as JSON.")
def run(variants: tuple[str, ...], config: Path | None, quick: bool, **options: Any) -> None:
    """Train and evaluate every variant, and write tables and report.

    VARIANTS are what to compare, as with --plugins.

    \b
    vaebench run gaussian 'gmm[components=8]' --dataset digits --seeds 0,1,2
    """
    from vaebench.execution import driver

    settings = asked(variants, config, quick, options)
    sys.exit(driver.run(settings, driver.Where(**options)))


def asked(
    variants: tuple[str, ...], config: Path | None, quick: bool, options: dict[str, Any]
) -> Settings:
    """The settings of flags and a file; the flags that are settings are taken out of `options`.

    Raises:
        UserError: A setting has a value that it cannot have, or variants are named twice.
    """
    given = {s.asked: options.pop(s.asked) for s in SETTINGS}
    if variants:
        if given["plugins"] is not None:
            raise UserError(
                f"Variants are named twice, {' '.join(variants)} and --plugins {given['plugins']}; "
                "name them in one of the two places."
            )
        given["plugins"] = ",".join(variants)
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    if config:
        from vaebench.config.yaml_files import read

        values, lines = read(config)
    for name, value in given.items():
        if value is not None:
            values[name] = value
            lines.pop(name, None)
    if quick:
        values |= {name: value for name, value in QUICK.items() if given[name] is None}
        lines = {name: line for name, line in lines.items() if name not in QUICK}
    runs = [folder for folder in (options["out"], config and config.parent) if folder]
    values = told(values, runs)
    return from_dict(values, str(config or "the command line"), lines)
