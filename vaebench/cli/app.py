"""The command line: parsing, exit codes and printing. Everything heavy is imported late."""

import warnings
from typing import Any

import click

from vaebench._version import __version__
from vaebench.cli.cells import evaluate, show
from vaebench.cli.codes import decode, encode, sample
from vaebench.cli.plugins import check, list_, new_plugin
from vaebench.cli.reproduce import reproduce
from vaebench.cli.run import run
from vaebench.cli.runs import compare, index, merge, report, status
from vaebench.cli.tune import tune
from vaebench.cli.verify import verify
from vaebench.errors import UserError, nearest, printable, unknown
from vaebench.execution.engines import local


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
            known = {name.lstrip("-"): name for each in command.params for name in each.opts}
            known["debug"] = "--debug"
            close = nearest(error.option_name.lstrip("-"), known, 1)
            raise click.NoSuchOption(
                error.option_name, possibilities=[known[name] for name in close], ctx=error.ctx
            ) from error
        except UserError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except local.WorkerError as error:
            click.echo(
                "Error: a worker failed; this is a fault of vaebench or of the installation.\n"
                f"{printable(str(error), 2**16)}",
                err=True,
            )
            ctx.exit(1)


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
    vaebench tune gaussian iwae --trials 20         as many trials for each, then compare
    vaebench list                                   what is installed
    vaebench check NAME                             is a variant's mathematics right?
    vaebench new-plugin NAME                        start a variant of your own
    vaebench report results/NAME                    rebuild tables and page
    vaebench index results                          one page over many runs
    vaebench compare iwae gaussian                  paired differences in the newest run
    vaebench show CELL                              one cell in full
    vaebench sample CELL --out grid.png             pictures from a trained cell
    vaebench reproduce --list                       published tables to run again
    """
    if not debug:
        warnings.formatwarning = lambda message, *_: f"Note: {printable(str(message))}\n"


for command in (
    *(run, tune, reproduce, status, merge, list_, check, new_plugin, report, index),
    *(compare, show, evaluate, verify, sample, encode, decode),
):
    main.add_command(command)
