"""Comparisons in the terminal and as a page of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup
from rich import box
from rich.table import Table
from rich.text import Text

from vaebench._version import __version__
from vaebench.report.comparison.differences import Comparison, Line
from vaebench.report.comparison.overview import Overview, Ranks, overview
from vaebench.report.comparison.standings import TEXT, standing_rows
from vaebench.report.summary import digits
from vaebench.report.template import ASSETS, template
from vaebench.runs import files

_STYLE = {"better": "bold green", "worse": "red"}
EXPLANATION = (
    "Differences are second less first with 95 % intervals: paired by seed and, where the metric "
    "is a mean over test images, by image. Of several names held against the first the intervals "
    "are widened for their number. Undecided means that the interval holds zero; equal, that only "
    "rounding differs; constant, that neither seed nor image changes it, which is no verdict. Each "
    "metric of the main table is judged by itself: of twenty that do not differ one is called "
    "better or worse by chance. Intervals of the other metrics are widened for the number of these."
)


def texts(line: Line) -> tuple[str, str, str, str, str]:
    """A line's metric, both values, difference and outcome in words."""
    column, gap = line.column, line.difference
    decimals = digits(column, gap)
    margin = f" ± {gap.margin:.{decimals}f}" if gap.margin == gap.margin else ""
    head = f"{column.title} {column.arrow}".strip()
    head += f" ({column.suffix})" if column.suffix else ""
    a, b = (column.format(value) for value in line.values)
    return head, a, b, f"{gap.mean:+.{decimals}f}{margin}", line.outcome


def terminal(found: list[Comparison]) -> Iterator[Table | Text]:
    """A table for each comparison."""
    for one in found:
        heads = (one.first.label, one.second.label, "difference", "")
        table = _table(one.title, "metric", heads)
        for part in one.parts:
            table.add_section()
            for line in part:
                *shown, outcome = texts(line)
                table.add_row(*map(Text, shown), Text(outcome, style=_STYLE.get(outcome, "dim")))
        yield table
        if one.more:
            yield Text(f"{one.more} more metrics with --all", style="dim")
        for key, (a, b) in one.apart.items():
            yield Text(f"Other settings: {key.replace('_', ' ')} {a} and {b}.")
        yield from map(Text, _methods(one))
    yield Text(EXPLANATION, style="dim")
    yield from _together(overview(found))


def _together(view: Overview) -> Iterator[Table | Text]:
    """Matrices, interquartile means and ranks."""
    for title, each in view.matrices:
        table = _table(f"{title}: {each.title}", "row less …", each.labels)
        for a in each.labels:
            shown = [each.cells.get((a, b), ("", "")) for b in each.labels]
            table.add_row(
                Text(a), *(Text(text, style=_STYLE.get(kind, "")) for text, kind in shown)
            )
        yield table
    if view.matrices:
        yield Text(view.matrices[0][1].caption, style="dim")
    if view.standings:
        heads = [each.column.title for each in view.standings]
        table = _table("Interquartile means over data sets and seeds", "variant", heads)
        for row in standing_rows(view.standings):
            table.add_row(*map(Text, row))
        yield table
    if view.standings or view.lacking:
        yield Text(TEXT if view.standings else view.lacking, style="dim")
    yield from (Text(_ranked(each)) for each in view.ranks)


def _table(title: str, first: str, heads: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left")
    table.add_column(first)
    for head in heads:
        table.add_column(Text(head), justify="right")
    return table


def _ranked(found: Ranks) -> str:
    means = ", ".join(f"{label} {mean:.2f}" for label, mean in found.means.items())
    return (
        f"{found.column.title}: mean ranks over {found.datasets} data sets: {means}. Means nearer "
        f"than {found.gap:.2f} do not differ significantly (Nemenyi, 5 % for all pairs together)."
    )


def _methods(one: Comparison) -> list[str]:
    kinds = dict.fromkeys(line.difference.method for line in one.lines if line.difference.method)
    known = [f"Intervals over {'; '.join(kinds)}."] if kinds else []
    if any(line.difference.models for line in one.lines):
        known.append("One seed: this compares the trained models, not the methods.")
    networks, others = (
        {record["variant"].get("networks", "") for record in side.records}
        for side in (one.first, one.second)
    )
    if networks != others:
        known.append("Their networks differ: differences are of networks and method together.")
    return known


def page(found: list[Comparison], path: Path) -> Path:
    """Write the comparisons as one self-contained page."""
    view = overview(found)
    text = template("versus.html").render(
        found=[
            (one, [[texts(line) for line in part] for part in one.parts], _methods(one))
            for one in found
        ],
        explanation=EXPLANATION,
        view=view,
        standings=list(standing_rows(view.standings)),
        standing_text=TEXT if view.standings else view.lacking,
        ranks=[_ranked(each) for each in view.ranks],
        version=__version__,
        style=Markup((ASSETS / "style.css").read_text("utf-8")),
    )
    files.write_text(path, text)
    return path
