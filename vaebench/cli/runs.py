"""The commands that read whole runs: status, merge, report, index, compare."""

import re
from pathlib import Path

import click

from vaebench.cli import completion
from vaebench.cli.arguments import JSON, NOTE, RUN, TITLE, print_json, writable, writing
from vaebench.errors import UserError, unknown

#: What LaTeX takes for a label in any place.
LABEL = re.compile(r"[\w:.-]{1,80}", re.ASCII)


def listed(text: str) -> list[str]:
    """The names between commas."""
    return [name for part in text.split(",") if (name := part.strip())]


@click.command()
@click.argument("run", type=Path, shell_complete=completion.runs)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(run: Path, as_json: bool) -> None:
    """Show which cells of a run are finished, running, failed and missing.

    \b
    vaebench status results/NAME
    """
    from vaebench.execution import status as state

    state.show(run, as_json)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=Path, shell_complete=completion.runs)
@click.option("--out", type=Path, required=True, help="Folder of the joined run.")
def merge(runs: tuple[Path, ...], out: Path) -> None:
    """Join runs that were made on different machines, and write their tables and report.

    \b
    vaebench merge results/here results/there --out results/both
    """
    from vaebench.execution import driver
    from vaebench.runs.merge import merge as join

    join(runs, out)
    driver.tables(out)


@click.command()
@click.argument("run", type=Path, shell_complete=completion.runs)
@click.option("--out", type=Path, help="Folder to write to.  [default: the run's]")
@TITLE
@NOTE
@click.option(
    "--columns",
    metavar="NAMES",
    help="Columns of the tables, such as ais,elbo,kl,fid.  [default: the main ones]",
    shell_complete=completion.names("columns"),
)
@click.option(
    "--digits",
    type=click.IntRange(0, 9),
    help="Decimals; of values below 1 digits.  [default: as many as the errors allow]",
)
@click.option("--caption", default="", help="Caption of table.tex, in LaTeX.")
@click.option("--label", default="", help="Its label.  [default: tab:NAME]")
@click.option(
    "--figures",
    default="",
    metavar="FORMATS",
    help="Write the plots into figures/ too: pdf, svg, png, or several with commas.",
)
def report(
    run: Path,
    out: Path | None,
    title: str | None,
    note: str | None,
    columns: str | None,
    digits: int | None,
    caption: str,
    label: str,
    figures: str,
) -> None:
    """Rebuild a run's tables (CSV, Markdown, LaTeX, Parquet) and page from its cells.

    Short names will do for columns: `fid` is that of the data set's features, `ais` is
    log_likelihood_ais.

    \b
    vaebench report results/NAME
    vaebench report results/NAME --columns ais,elbo,kl,fid --digits 2 --out paper
    vaebench report results/NAME --figures pdf,svg --out paper
    vaebench report results/NAME --title 'Priors on digits' --note 'Width 8, for the appendix.'
    """
    from rich.console import Console

    from vaebench import report as reports
    from vaebench.registry import code
    from vaebench.report.plots.export import FORMATS
    from vaebench.report.tables.choice import Wish

    formats = listed(figures)
    for name in formats:
        if name not in FORMATS:
            raise unknown("format of figures", name, FORMATS)
    if label and not LABEL.fullmatch(label):
        raise UserError(f"The label {label!r} is made of letters, digits and - : . _ alone.")
    if columns is not None and not listed(columns):
        raise UserError("--columns names none; leave it out to have the main ones.")
    wish = Wish(tuple(listed(columns or "")), digits, caption, label)
    try:
        made = reports.write(run, out, wish, formats, title=title, note=note)
    except OSError as error:
        raise UserError(
            f"{error.filename or out or run} cannot be written ({error.strerror}); --out writes "
            "the report into another folder."
        ) from error
    Console().print(made.terminal)
    if note := code.note(made.run.records.values()):
        click.echo(note, err=True)
    click.echo(made.page)


@click.command()
@click.argument("folder", type=Path, default=Path("results"))
@click.option("--out", type=Path, help="The page.  [default: index.html in the folder]")
@JSON
def index(folder: Path, out: Path | None, as_json: bool) -> None:
    """Write one page about all runs below a folder.

    It has what was run and when, who does best where a verdict is warranted, links to the pages of
    the runs, and what is unfinished or damaged. FOLDER is by default the folder results.

    \b
    vaebench index results
    vaebench index /shared/group --out ~/index.html
    """
    from rich.console import Console

    from vaebench.report.index import entry, page

    screen = Console(stderr=True, quiet=as_json)
    with screen.status("Looking for runs") as state:
        found = page.entries(folder, lambda n, of: state.update(f"Reading run {n + 1} of {of}"))
    if as_json:
        print_json([entry.plain(each) for each in found])
        return
    path = out or folder / "index.html"
    writable(path)
    with writing(path):
        page.write(folder, found, path)


@click.command()
@click.argument(
    "names", nargs=-1, required=True, metavar="A B...", shell_complete=completion.names("plugin")
)
@RUN
@click.option("--metric", "metrics", multiple=True, help="Only this one; may be given again.")
@click.option("--all", "every", is_flag=True, help="Also the metrics outside of the main table.")
@click.option("--out", type=Path, help="Write a page instead of printing.")
@JSON
def compare(
    names: tuple[str, ...],
    run: Path | None,
    metrics: tuple[str, ...],
    every: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Hold variants of a run, or whole runs, against the first one named.

    \b
    vaebench compare gaussian iwae --run results/NAME --metric log_likelihood_ais
    vaebench compare results/before results/after --out differences.html
    """
    if out:
        writable(out)
    from vaebench.report.comparison import differences, versus

    found = differences.compare(names, run, metrics, every)
    if as_json:
        print_json([one.plain() for one in found])
    elif out:
        with writing(out):
            versus.page(found, out)
    else:
        from rich.console import Console

        screen = Console(highlight=False)
        for part in versus.terminal(found):
            screen.print(part)
