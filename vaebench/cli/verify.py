"""The command that measures a run again: verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaebench.cli.arguments import CELLS, JSON, RUN, chosen, place_options, print_json
from vaebench.errors import printable

if TYPE_CHECKING:
    from vaebench.execution.verify import Checked, Verdict

_WORDS: "dict[Verdict, str]" = {
    "same": "the same to the bit",
    "within error": "within their error",
    "unknown": "not measurable here",
    "differs": "differ",
}


@click.command()
@CELLS
@RUN
@place_options
@JSON
@click.pass_context
def verify(
    context: click.Context, cells: tuple[str, ...], run: Path | None, as_json: bool, **options: Any
) -> None:
    """Measure finished cells again from their weights: does each number come out?

    On the machine and the versions that measured it a number is the same to the bit; elsewhere it
    may be off by its own noise. Cells whose weights were left out of the folder are passed over.
    Exit code 1 where a number does not come out, a cell is damaged, or none has weights.

    \b
    vaebench verify results/NAME
    vaebench verify gaussian-digits-s0 --run results/NAME
    """
    folder, names = chosen(cells, run)
    from vaebench.execution import driver
    from vaebench.execution import verify as again

    where = driver.Where(quiet=as_json, **options)
    where.check()
    if len(cells) == 1 and folder == Path(cells[0]):
        names = [*names, *again.damaged(folder)]
    found = []
    for checked in again.verify(folder, names, where):
        found.append(checked)
        if not as_json:
            _print(checked)
    if as_json:
        print_json({checked.cell: checked.plain() for checked in found})
    some = any(not checked.bare for checked in found)
    context.exit(0 if some and all(checked.good for checked in found) else 1)


def _print(checked: "Checked") -> None:
    """A line for a cell, and one for each number that is not the same."""
    if checked.flaw:
        click.echo(printable(f"{checked.cell}: cannot be verified: {checked.flaw}", 2000))
        return
    if checked.bare:
        click.echo(printable(f"{checked.cell}: passed over, its weights are not here", 2000))
        return
    counts = [
        f"{count} {words}" for verdict, words in _WORDS.items() if (count := checked.count(verdict))
    ]
    versions = f" (since then {', '.join(checked.changed)})" if checked.changed else ""
    total = len(checked.numbers)
    click.echo(printable(f"{checked.cell}: of {total} numbers {', '.join(counts)}{versions}", 2000))
    for number in checked.numbers:
        if number.verdict != "same":
            before, now = (_shown(value) for value in (number.before, number.now))
            why = f"; {number.why}" if number.why else f"; allowed {number.allowed:.2g}"
            text = f"  {number.column}: {before} then, {now} now, {number.verdict}{why}"
            click.echo(printable(text, 2000))


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"
