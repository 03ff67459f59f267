"""What the commands are given: cells, files to read and places to write to. No torch."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import click

from vaebench.cli import completion
from vaebench.config.declaration import Setting
from vaebench.errors import UserError, meant, nearest, short
from vaebench.runs.schema import Record

if TYPE_CHECKING:
    from vaebench.execution.codec import Codec
    from vaebench.runs.run import Run

JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


def print_json(value: Any) -> None:
    """Print plain data as JSON."""
    import json

    click.echo(json.dumps(value, indent=1))


def setting_options(settings: Iterable[Setting], defaults: bool = True) -> Callable[[Any], Any]:
    """A decorator that gives a command an option for each setting; their values are texts.

    Args:
        settings: What there are options for, in the order of the help.
        defaults: Whether the help shows what a run has where nothing is asked for.
    """
    kinds = {int: "INTEGER", float: "FLOAT", str: "TEXT"}

    def decorate(command: Any) -> Any:
        for one in reversed(list(settings)):
            text = one.help + (f"  [default: {one.shown}]" if defaults and one.shown else "")
            metavar = "TEXT" if one.several else kinds[one.kind]
            known = completion.names(one.name, one.choices)
            command = click.option(
                one.flag, one.asked, metavar=metavar, help=text, shell_complete=known
            )(command)
        return command

    return decorate


def place_options(command: Any) -> Any:
    """A decorator for commands that compute with what a run has left: where data and device are."""
    as_in = "As in `vaebench run`."
    for option in (
        click.option("--device", default="auto", help=as_in),
        click.option("--fid-weights", type=Path, help=as_in),
        click.option("--download", is_flag=True, help=as_in),
        click.option("--data-dir", type=Path, envvar="VAEBENCH_DATA", help=as_in),
    ):
        command = option(command)
    return command


CELL = click.argument("cell", shell_complete=completion.cells)
CELLS = click.argument(
    "cells",
    nargs=-1,
    required=True,
    metavar="RUN|CELL...",
    shell_complete=completion.runs_and_cells,
)
RUN = click.option(
    "--run",
    type=Path,
    help="The run.  [default: the newest in results]",
    shell_complete=completion.runs,
)
FIRST_LOOK = click.option(
    "--quick", is_flag=True, help="Measure with little effort, for a first look."
)
CONFIG = click.option(
    "--config", type=Path, help="Settings from a run's config.yaml; flags override it."
)
OUT = click.option(
    "--out", type=Path, help="Folder of the run.  [default: results/<data set>-<hash>]"
)
TITLE = click.option("--title", help="What the page is called.  [default: the run's folder]")
NOTE = click.option("--note", help="What the page says below its title.")
_FEW = 3


def record(cell: str, run: Path | None) -> tuple[Path, Record]:
    """A cell's run and record, from the path of its folder, or its name in a run.

    Raises:
        UserError: There is no such cell.
    """
    from vaebench.runs.run import Run, newest

    path = Path(cell)
    if (path / "cells").is_dir():
        raise UserError(f"{cell} is a run; name one of its cells{_such_as(path)}.")
    full = path.resolve()
    if run is None and (path.is_dir() or len(path.parts) > 1) and full.parent.name == "cells":
        run, cell = full.parent.parent, full.name
    found = Run(run or newest())
    if not any(name.startswith(cell) for name in found.records):
        raise _no_cell(cell, found)
    return found.folder, found.records[found.find(cell)]


def _such_as(run: Path) -> str:
    cells = sorted(path for path in (run / "cells").iterdir() if path.is_dir())
    return f", such as {' or '.join(map(str, cells[:_FEW]))}" if cells else ", once it has some"


def _no_cell(cell: str, run: "Run") -> UserError:
    first = ", ".join(list(run.records)[:_FEW])
    hint = f"Its first cells are {first}." if first else "It has none yet."
    hint = meant(nearest(cell, run.records, _FEW)) or hint
    return UserError(f"No cell {cell!r} in the run {run.folder}. {hint} --run names another run.")


def finished(cell: str, run: Path | None) -> tuple[Path, Record]:
    """The run and record of a cell that has a trained model; UserError where it has none."""
    folder, found = record(cell, run)
    if found["status"] != "done":
        why = short(found["reason"] or found["status"]).rstrip(".")
        raise UserError(f"{found['cell']} has no trained model: {why}.")
    return folder, found


def chosen(names: tuple[str, ...], run: Path | None) -> tuple[Path, list[str]]:
    """A run and the names of finished cells of it.

    Args:
        names: A run for all its finished cells, with cells after it for those; or cells.
        run: The run, where it is not the first of the names.

    Raises:
        UserError: There is no such cell, it is not finished, or cells are of several runs.
    """
    from vaebench.runs import records

    if (Path(names[0]) / "cells").is_dir():
        first, *names_ = names
        if run is not None:
            raise UserError(f"{first} is a run as {run} is; name one of them.")
        run, names = Path(first), tuple(names_)
        if not names:
            done = [one["cell"] for one in records.cells(run) if one["status"] == "done"]
            if not done:
                raise UserError(f"No cell of {run} is finished; `vaebench run` trains them.")
            return run, done
    found = [finished(name, run) for name in names]
    folders = {folder.resolve() for folder, _ in found}
    if len(folders) > 1:
        raise UserError("The cells are of several runs; name those of one at a time.")
    return found[0][0], list(dict.fromkeys(record["cell"] for _, record in found))


#: How names of files end that items of a kind are written to.
_ENDINGS = {"pictures": ".png", "tokens": ".txt"}


def trained(cell: str, run: Path | None, out: Path | None = None) -> "Codec":
    """The trained model of a cell.

    Args:
        cell: Its folder, or its name in `run`.
        run: Its run.
        out: Where items are to be written, if they are.

    Raises:
        UserError: It has none, or its items are not written to files of that name.
    """
    folder, found = finished(cell, run)
    from vaebench.runs.described import described

    if out is not None:
        ending = _ENDINGS.get(described(found).kind)
        if ending and out.suffix.lower() != ending:
            raise UserError(
                f"--out {out} is for {ending[1:].upper()}: let its name end in {ending}."
            )
    from vaebench.execution.codec import codec

    return codec(folder, found)


def existing(path: Path) -> None:
    """Raise UserError unless a regular file is there."""
    if not path.exists():
        raise UserError(f"There is no file {path}; fix its name.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file.")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file; name one.")


def writable(path: Path) -> None:
    """Raise UserError unless a file can be written there; nothing is left behind."""
    try:
        if path.is_dir():
            raise UserError(f"--out {path} is a folder; name a file in it.")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--out {path} cannot be written; choose another place.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the failure to write a file into a UserError, and print its path on success."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    click.echo(path)
