"""What tuning chose, and what it was worth: tuned less default, paired over seeds."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from vaebench.config.space import words
from vaebench.report.columns import Column, headlines
from vaebench.report.sheet import Sheet, scores
from vaebench.report.summary import digits
from vaebench.runs import numbers, tuning
from vaebench.runs.run import Run
from vaebench.runs.tuning import BOTH, DEFAULT, TUNED, Search, Tuning
from vaebench.statistics.comparisons import shared
from vaebench.statistics.intervals import Difference, difference

_MINUS = "\u2212"


class Line(NamedTuple):
    """What tuning came to for a variant.

    Attributes:
        variant: Its name as asked for.
        chosen: The settings that were chosen, in words; empty where none were.
        criterion: The criterion on validation items, with the defaults and as chosen.
        trials: How many trials there are, and what became of them.
        gaps: By column, what the chosen settings have more than the default ones on test items.
        worth: The same in words, with the outcome for a colour.
    """

    variant: str
    chosen: str
    criterion: tuple[str, str]
    trials: str
    gaps: dict[str, Difference]
    worth: dict[str, tuple[str, str]]


class Tuned(NamedTuple):
    """What a table and a page say of a tuning.

    Attributes:
        about: How it was done.
        columns: The columns that the gain is told of.
        criterion: What trials were measured by, with its unit.
        lines: A line for each variant.
        orders: Sentences on the order of the variants before and after.
        left_out: Sentences on the variants that were not tuned.
        spaces: What was searched, by variant, in words.
    """

    about: str
    columns: list[Column]
    criterion: str
    lines: list[Line]
    orders: list[str]
    left_out: list[str]
    spaces: dict[str, str]


def tuned(run: Run, sheets: list[Sheet]) -> Tuned | None:
    """What a run's tuning came to; None where it was not tuned."""
    found = tuning.read(run.folder)
    if found is None or "tuning" not in run.cells or len(sheets) != 1:
        return None
    (sheet,) = sheets
    columns = headlines(sheet.columns)
    parts = _parts(run, found)
    images = numbers.read(run.folder, run.cells["cell"], "per_image.csv", "index")
    pairs = {variant: pair for variant, pair in parts.items() if len(pair) == 2}
    level = shared(len(pairs))
    lines = []
    for variant, search in found["variants"].items():
        gaps = {}
        if variant in pairs:
            mine, usual = pairs[variant]
            for column in columns:
                both = [scores(part, column.name, images) for part in (mine, usual)]
                gaps[column.name] = difference(both[0], both[1], level)
        lines.append(_line(variant, search, columns, gaps))
    return Tuned(
        _about(found, len(pairs)),
        columns,
        f"{found['criterion']['title']} ({found['criterion']['unit']})",
        lines,
        [_order(column, parts) for column in columns if column.better and len(pairs) > 1],
        [f"{name} was not tuned: {why.rstrip('.')}." for name, why in found["left_out"].items()],
        {
            name: "; ".join(
                f"{key.strip('[]').replace('_', ' ')} {space}"
                for key, space in each["space"].items()
            )
            for name, each in found["variants"].items()
        },
    )


def _parts(run: Run, found: Tuning) -> dict[str, tuple[pd.DataFrame, ...]]:
    """By variant its finished cells with tuned and with default settings, or one of these alone."""
    cells = run.cells[run.cells["status"] == "done"]
    variants = cells["cell"].map(lambda cell: found["cells"][cell]["variant"])
    made: dict[str, tuple[pd.DataFrame, ...]] = {}
    for variant in dict.fromkeys(variants):
        mine = cells[variants == variant]
        sides = (mine[mine["tuning"] == TUNED], mine[mine["tuning"].isin([DEFAULT, BOTH])])
        made[variant] = tuple(side for side in sides if len(side))
    return made


def _line(
    variant: str, search: Search, columns: list[Column], gaps: Mapping[str, Difference]
) -> Line:
    number = tuning.chosen(search)
    trials = search["trials"]
    counts = {state: sum(t["state"] == state for t in trials) for state in _STATES}
    said = [f"{count} {_STATES[state]}" for state, count in counts.items() if count]
    best = trials[number] if number is not None else None
    chosen = words(best["settings"]) if best else "no trial came through"
    if number == 0:
        chosen = f"the defaults: {chosen}"
    return Line(
        variant,
        chosen,
        (_value(trials[0] if trials else None), _value(best)),
        ", ".join(said),
        dict(gaps),
        {column.name: _worth(column, gaps.get(column.name), number == 0) for column in columns},
    )


_STATES = {"complete": "complete", "pruned": "stopped early", "failed": "failed"}


def _value(trial: tuning.Trial | None) -> str:
    if trial is None or trial["value"] is None:
        return "n/a"
    error = f" ± {trial['se']:.2f}" if trial["se"] is not None else ""
    return f"{trial['value']:.2f}{error}".replace("-", _MINUS)


def _worth(column: Column, gap: Difference | None, same: bool) -> tuple[str, str]:
    """A gain in words and whether it is one."""
    if gap is None or gap.mean != gap.mean:
        return ("0, the same settings", "") if same else ("n/a", "")
    decimals = digits(column, gap)
    margin = f" ± {gap.margin:.{decimals}f}" if gap.margin == gap.margin else ""
    text = f"{gap.mean:+.{decimals}f}{margin}".replace("-", _MINUS)
    if not gap.significant or column.better is None or gap.models:
        return text, ""
    return text, "better" if (gap.mean > 0) == (column.better == "higher") else "worse"


def _about(found: Tuning, pairs: int) -> str:
    by = found["criterion"]
    rungs = " and ".join(map(str, found["rungs"]))
    return (
        f"{found['trials']} trials of each variant, the first of which has the default settings; "
        f"each a training with seed {found['seed']}, measured by {by['title']} on {by['images']} "
        "validation items with the same noise. "
        + (
            f"After epochs {rungs} a trial is stopped whose bound is below the median of those "
            "before it. "
            if rungs
            else ""
        )
        + "The best complete trial is chosen, and its settings are run with seeds that no trial "
        "saw. What tuning was worth is tuned less default on test items, paired by seed"
        + (f", with 95 % intervals widened for {pairs} variants." if pairs > 1 else ".")
    )


def _order(column: Column, parts: Mapping[str, tuple[pd.DataFrame, ...]]) -> str:
    """The order of the means of all variants with default settings and as they were tuned."""
    sides = [{v: pair[i][column.name].mean() for v, pair in parts.items()} for i in (-1, 0)]
    orders = [
        sorted(
            (name for name, value in side.items() if value == value),
            key=lambda name: side[name] * (-1 if column.better == "higher" else 1),
        )
        for side in sides
    ]
    if orders[0] == orders[1]:
        return f"By {column.title} tuning leaves the order as it is: {', '.join(orders[0])}."
    return (
        f"By {column.title} the order of the means is {', '.join(orders[0])} with default settings "
        f"and {', '.join(orders[1])} with tuned ones."
    )
