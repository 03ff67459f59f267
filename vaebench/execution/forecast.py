"""What training and measuring cells may take, by phase, from what it took before."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from vaebench.config.cell import Cell
from vaebench.runs.effort import Wanted, fitting
from vaebench.runs.schema import Record, number

#: The phases that are no group of metrics.
TRAINING, PICTURES, REPORT = "training", "pictures", "tables and page"
#: What the first cell of a data set computes for all others.
REAL = "features of real images"
#: Of an untrained model nobody knows how much of its budget annealing spends.
AT_MOST = frozenset({"ais", "bdmc"})
#: Groups of metrics that take less than a second, or than this share of all, are counted together.
_SMALL = 0.01
#: Seconds that a phase takes to have a line.
_SHOWN = 0.5


@dataclass(frozen=True)
class Forecast:
    """What a cell comes to.

    Attributes:
        cell: Its name.
        columns: The numbers that would be measured.
        phases: Seconds of training, of each group of metrics, and of pictures, as far as it is
            known how long they take.
        untimed: The groups of which it is not.
    """

    cell: str
    columns: tuple[str, ...]
    phases: Mapping[str, float]
    untimed: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """What all phases take."""
        return sum(self.phases.values())


def forecast(
    record: Record, wanted: Iterable[Wanted], columns: Sequence[str], others: Sequence[Record]
) -> Forecast:
    """The forecast of measuring a trained cell.

    Args:
        record: Its record.
        wanted: All that is asked for.
        columns: What of it would be measured.
        others: Finished cells of the run, which say how long a group of metrics takes: those of
            the same variant if there are some.
    """
    asked = [one for one in wanted if one.column in columns]
    name = record["config"].get("plugin")
    alike = [one for one in others if one["config"].get("plugin") == name] or list(others)
    phases, untimed = _groups(asked, alike)
    return Forecast(record["cell"], tuple(columns), phases, untimed)


def foreseen(cell: Cell, wanted: Sequence[Wanted], others: Sequence[Record]) -> Forecast:
    """The forecast of a cell that is not trained, from finished ones.

    Args:
        cell: The cell.
        wanted: What is asked for.
        others: Finished cells of the run: those of the same variant and data tell if there are
            some, else those of the same data, else all.
    """
    data = [one for one in others if one["config"].get("dataset") == cell.dataset]
    same = [one for one in data if one["config"].get("plugin") == cell.plugin]
    alike = same or data or list(others)
    mine = fitting(alike[0], wanted)
    phases, untimed = _groups(mine, alike)
    if epochs := [each for one in alike if (each := _epoch(one)) is not None]:
        phases = {TRAINING: cell.epochs * mean(epochs), **phases}
    else:
        untimed = (TRAINING, *untimed)
    if drawn := [one["timings"][PICTURES] for one in alike if PICTURES in one["timings"]]:
        phases[PICTURES] = mean(drawn)
    return Forecast(cell.id, tuple(one.column for one in mine), phases, untimed)


def table(forecasts: Sequence[Forecast], at_most: Collection[str] = ()) -> list[str]:
    """A line for each phase of all cells together, for their sum, and for what is not known.

    Args:
        forecasts: The cells'.
        at_most: The phases that may take less.
    """
    sums: Counter[str] = Counter()
    for one in forecasts:
        sums.update(one.phases)
    total = sum(sums.values())
    shown = {TRAINING: sums.pop(TRAINING, 0.0)}
    ends = {name: sums.pop(name) for name in (REAL, PICTURES, REPORT) if name in sums}
    large = {name: s for name, s in sums.items() if s >= max(1.0, _SMALL * total)}
    shown |= large
    if rest := sum(sums.values()) - sum(large.values()):
        shown["other metrics"] = rest
    rows = {name: s for name, s in (shown | ends).items() if s >= _SHOWN}
    lines = [
        f"  {name:24}{clock(s):>9}{' at most' if name in at_most else ''}"
        for name, s in rows.items()
    ]
    lines.append(f"  {'all':24}{clock(total):>9}{' at most' if set(at_most) & set(rows) else ''}")
    untimed = dict.fromkeys(group for one in forecasts for group in one.untimed)
    if untimed:
        lines.append(f"  How long {', '.join(untimed)} takes is not known.")
    return lines


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _epoch(record: Record) -> float | None:
    """What an epoch of a finished cell took."""
    spent, epochs = record["timings"].get("train"), record["config"].get("epochs")
    return spent / epochs if spent is not None and isinstance(epochs, int) and epochs else None


def _groups(
    asked: Sequence[Wanted], alike: Sequence[Record]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Seconds of each group of metrics, and the groups of which they are not known."""
    phases: dict[str, float] = {}
    untimed = []
    for group in dict.fromkeys(one.group for one in asked):
        mine = [one for one in asked if one.group == group]
        known = [found for each in alike if (found := _seconds(each, group, mine)) is not None]
        if known:
            phases[group] = mean(known)
        else:
            untimed.append(group)
    return phases, tuple(untimed)


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
