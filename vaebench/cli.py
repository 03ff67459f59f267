"""The command line: parsing, exit codes and printing. Everything heavy is imported late."""

import sys
import warnings
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from vaebench import __version__
from vaebench.cli_cells import COMMANDS
from vaebench.config import Settings, from_dict, read
from vaebench.engines import local
from vaebench.errors import UserError, unknown
from vaebench.spelling import seeds, split

_DEFAULTS = Settings()


class _Commands(click.Group):
    """Suggests what was meant, and turns a UserError into one sentence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--debug" in args:
            args = ["--debug", *(each for each in args if each != "--debug")]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            raise UserError(str(unknown("command", args[0], self.commands)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            command = error.ctx.command if error.ctx else self
            known = [name for each in command.params for name in each.opts]
            close = get_close_matches(error.option_name, [*known, "--debug"], n=1)
            raise click.NoSuchOption(
                error.option_name, possibilities=close, ctx=error.ctx
            ) from error
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except local.WorkerError as error:
            click.echo(
                "Error: a worker failed; this is a fault of vaebench or of the installation.\n"
                f"{error}",
                err=True,
            )
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("Interrupted. The same command goes on where this one stopped.", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vaebench")
@click.option(
    "--debug",
    is_flag=True,
    help="Show the traceback of an error; goes before or after the command.",
)
def main(debug: bool) -> None:
    """Compare variational autoencoders fairly: same networks, data and evaluation for all.

    \b
    vaebench run                                    the eight built-in variants on digits
    vaebench run --plugins gamix,iwae --seeds 0..4  two of them, five seeds
    vaebench list                                   what is installed
    vaebench check NAME                             is a variant's mathematics right?
    vaebench new-plugin NAME                        start a variant of your own
    vaebench report results/NAME                    rebuild tables and page
    vaebench compare iwae gaussian                  paired differences in the newest run
    vaebench show CELL                              one cell in full
    vaebench sample CELL --out grid.png             pictures from a trained cell
    vaebench reproduce --list                       published tables to run again
    """
    if not debug:
        warnings.formatwarning = lambda message, *_: f"Note: {message}\n"


def _option(name: str, text: str, *, list_of: Any = None, **more: Any) -> Any:
    """An option of a setting; comma-separated where the setting is an axis."""
    default = getattr(_DEFAULTS, name)
    if list_of is None:
        more.setdefault("type", type(default) if default is not None else str)
    if default is not None and default != (None,):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text += f"  [default: {shown}]"
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        default=None,
        help=text,
        callback=None
        if list_of is None
        else lambda ctx, param, value: _items(value, param, list_of),
        **more,
    )


def _items(value: str | None, param: click.Parameter, kind: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    try:
        items = kind(value) if kind is seeds else [kind(item) for item in split(value)]
    except ValueError:
        raise UserError(
            f"Cannot read {param.opts[0]} {value!r}; write numbers with commas between."
        ) from None
    if not items:
        raise UserError(f"{param.opts[0]} is empty; name some, or leave it out.")
    return tuple(dict.fromkeys(items))


@main.command()
@_option("plugins", "Variants, or plugins for all of theirs; 'all' for everything.", list_of=str)
@_option("dataset", "Data sets: mnist, mnist[without=9], folder:PATH for your own.", list_of=str)
@_option("seeds", "Seeds: 0,1,2 or 0..4.", list_of=seeds)
@_option("epochs", "Passes over the training images.", list_of=int)
@_option(
    "budget",
    "What is spent alike: epochs, decoder-passes (--epochs of one draw's), seconds.",
    list_of=str,
)
@_option("seconds", "Training time of each cell under --budget seconds.", type=float)
@_option("latent", "Latent dimensions; by default the data set's.", list_of=int)
@_option("backbone", "resnetv2, mlp, mlp-relu, or a plugin's; else the data set's.", list_of=str)
@_option("width", "Channels or units of the backbone.", list_of=int)
@_option("likelihood", "bernoulli, gaussian, laplace, logistic; gaussian[scale=0.1].", list_of=str)
@_option("binarise", "dynamic, fixed or none.", list_of=str)
@_option("critic", "patchgan, none, or both: patchgan,none.", list_of=str)
@_option("critic_weight", "Weight of the critic's term beside nats per image.", list_of=float)
@_option("batch_size", "Images in a training step.", list_of=int)
@_option("lr", "Adam's learning rate.", list_of=float)
@_option("lr_schedule", "constant, cosine, linear or burda.", list_of=str)
@_option("kl_warmup", "Epochs over which the KL weight grows to one.", list_of=int)
@_option("evaluate", "Evaluate the best validation epoch's weights, or the last ones.")
@_option(
    "metrics",
    "Metrics, groups of them, default or all; see `vaebench list --metrics`.",
    list_of=str,
)
@_option("extractor", "Feature network of FID and its kin; by default the data set's.")
@_option("ais_images", "Test images for AIS.")
@_option("ais_target", "Nats that AIS errors and BDMC gap shall stay below.", type=float)
@_option("ais_budget", "Decoder gradients for each image that AIS may spend.")
@_option("iw_samples", "K of the importance-weighted bound.")
@_option("iw_images", "Test images for that bound.")
@_option("image_size", "Side length in pixels that pictures are resized to.", list_of=int)
@click.option("--config", type=Path, help="Settings from a run's config.yaml; flags override it.")
@click.option("--out", type=Path, help="Folder of the run.  [default: results/<data set>-<hash>]")
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
@click.option("--devices", type=int, default=1, help="Train each cell on so many.  [default: 1]")
@click.option("--strategy", default="auto", help="auto or ddp: batches divided among devices.")
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
def run(config: Path | None, **options: Any) -> None:
    """Train and evaluate every variant, and write tables and report.

    \b
    vaebench run --plugins gaussian,'gmm[components=8]' --dataset digits --seeds 0,1,2
    """
    from vaebench import driver

    given = {f.name: options.pop(f.name) for f in fields(Settings)}
    values, lines = read(config) if config else ({}, {})
    for name, value in given.items():
        if value is not None:
            values[name] = list(value) if isinstance(value, tuple) else value
            lines.pop(name, None)
    settings = from_dict(values, str(config or "the command line"), lines)
    sys.exit(driver.run(settings, driver.Where(**options)))


@main.command()
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="Show the recipes.")
@click.option("--budget", default="short", help="full or short.  [default: short]")
@click.option("--out", type=Path, help="Folder.  [default: results/reproductions/<name>/<budget>]")
@click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help="As in `vaebench run`.")
@click.option("--download", is_flag=True, help="Fetch data and weights that are missing.")
@click.option("--fid-weights", type=Path, help="Weights of the Inception network.")
@click.option("--device", default="auto", help="As in `vaebench run`.")
@click.option("--jobs", type=int, help="Cells at a time.  [default: one a core, one on a GPU]")
@click.option("--retry-failed", is_flag=True, help="Run cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Print the cells and how long they may take.")
def reproduce(name: str | None, listing: bool, budget: str, **options: Any) -> None:
    """Run a published table again, and hold each number against the paper's.

    NAME is a recipe of `vaebench reproduce --list`, or the path of your own YAML file.

    \b
    vaebench reproduce iwae-table1 --budget short --data-dir ~/data
    """
    from vaebench import driver
    from vaebench.reproduction import listed, run

    if listing:
        listed.show()
    elif name is None:
        raise UserError("Name a recipe; `vaebench reproduce --list` shows them.")
    else:
        sys.exit(run.reproduce(name, budget, driver.Where(quiet=True, **options)))


@main.command()
@click.argument("run", type=Path)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(run: Path, as_json: bool) -> None:
    """Show which cells of a run are finished, running, failed and missing.

    \b
    vaebench status results/NAME
    """
    from vaebench import status as state

    state.show(run, as_json)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=Path)
@click.option("--out", type=Path, required=True, help="Folder of the joined run.")
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Join runs that were made on different machines, and write their tables and report.

    \b
    vaebench merge results/here results/there --out results/both
    """
    from vaebench import driver
    from vaebench.merge import merge as join

    join(runs, out)
    driver.tables(out)


@main.command("list")
@click.option("--metrics", is_flag=True, help="The metrics alone, each explained.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(metrics: bool, as_json: bool) -> None:
    """Show what is installed: variants, data sets, backbones, feature extractors, metrics.

    \b
    vaebench list --json
    """
    from vaebench import inventory

    found = inventory.collect()
    if metrics:
        found = {"metrics": found["metrics"]}
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
    else:
        inventory.show(found)


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Examine variants: does the mathematics hold, law by law?

    Exit code 0 if every law holds or is declared broken, else 1.

    \b
    vaebench check gaussian 'gmm[components=8]'
    """
    from vaebench import examination

    sys.exit(examination.check(names, as_json))


@main.command("new-plugin")
@click.argument("name")
@click.option("--out", type=Path, default=Path(), help="Where to put it.  [default: here]")
def new_plugin(name: str, out: Path) -> None:
    """Write a small installable package for a variant of your own.

    \b
    vaebench new-plugin student
    """
    from vaebench import scaffold

    folder = scaffold.write(name, out)
    click.echo(f"{folder} is written. Next:")
    click.echo(f"cd {folder} && pip install -e '.[test]' && vaebench check {name}")


@main.command()
@click.argument("run", type=Path)
def report(run: Path) -> None:
    """Rebuild a run's tables (CSV, Markdown, LaTeX, Parquet) and page from its cells.

    \b
    vaebench report results/NAME
    """
    from rich.console import Console

    from vaebench import codes
    from vaebench import report as page
    from vaebench.report import tables
    from vaebench.report.reading import read

    reading = read(run)
    tables.write(reading)
    Console().print(tables.terminal(reading))
    if note := codes.note(reading.records):
        click.echo(note, err=True)
    click.echo(page.write(reading))


for _command in COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main()
