"""What would be measured of trained cells, and how long that takes by what it took before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from vaebench.runs.effort import Wanted
from vaebench.runs.schema import Record, number


@dataclass(frozen=True)
class Forecast:
    """What measuring a cell comes to.

    Attributes:
        cell: Its name.
        columns: The numbers that would be measured.
        seconds: What those take of which is known how long they took.
        untimed: The groups of the others.
    """

    cell: str
    columns: tuple[str, ...]
    seconds: float
    untimed: tuple[str, ...]


def forecast(
    record: Record, wanted: Iterable[Wanted], columns: Sequence[str], others: Sequence[Record]
) -> Forecast:
    """The forecast of a cell.

    Args:
        record: Its record.
        wanted: All that is asked for.
        columns: What of it would be measured.
        others: Finished cells of the run, which say how long a group of metrics takes: those of
            the same variant if there are some.
    """
    asked = {one.column: one for one in wanted if one.column in columns}
    name = record["config"].get("plugin")
    alike = [one for one in others if one["config"].get("plugin") == name] or list(others)
    seconds, untimed = 0.0, []
    for group in dict.fromkeys(one.group for one in asked.values()):
        mine = [one for one in asked.values() if one.group == group]
        known = [found for each in alike if (found := _seconds(each, group, mine)) is not None]
        if known:
            seconds += mean(known)
        else:
            untimed.append(group)
    return Forecast(record["cell"], tuple(columns), seconds, tuple(untimed))


def _seconds(record: Record, group: str, asked: Sequence[Wanted]) -> float | None:
    """What a group took of a cell, in proportion to the effort; None where that is not known."""
    spent = record["timings"].get(group)
    if spent is None:
        return None
    ratios = [
        more
        for one in asked
        if (metric := record["metrics"].get(one.column))
        and (more := _ratio(one.effort, metric["depends"])) is not None
    ]
    return spent * max(ratios, default=1.0)


def _ratio(asked: Mapping[str, object], spent: Mapping[str, object]) -> float | None:
    """How many times the images and gradients are asked for that were spent."""
    found = 1.0
    for name in ("ais_images", "ais_budget", "iw_images"):
        if name in asked:
            more, before = number(asked[name]), number(spent.get(name))
            if not more or not before:
                return None
            found *= more / before
    return found
