"""What `vaebench tune` found: the trials of each variant, and which cells have what it chose."""

from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, TypedDict

from vaebench.errors import UserError, printable
from vaebench.runs import files
from vaebench.runs.schema import fits

NAME = "tuning.json"
#: What is said of a row's settings.
DEFAULT, TUNED, BOTH = "default", "tuned", "default and tuned"


class Trial(TypedDict):
    """A training with some settings, measured on validation items.

    `value` is the criterion with its standard error `se`, both None unless the trial is
    ``complete``; `rungs` the criterion by epoch on the way, and `reason` why it failed.
    """

    settings: dict[str, Any]
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    se: float | None
    rungs: dict[str, float]
    reason: str
    seconds: float


class Search(TypedDict):
    """The trials of a variant, the first of which has its defaults.

    `cell` names the training of the first trial, `space` what was searched, in words.
    """

    cell: str
    space: dict[str, str]
    trials: list[Trial]


class Criterion(TypedDict):
    """What trials are measured by: its name as asked for, title, unit, and how many items."""

    name: str
    title: str
    unit: str
    images: int
    effort: dict[str, Any]


class Place(TypedDict):
    """Whose cell it is: of which variant as asked for, and if its settings are tuned."""

    variant: str
    settings: str


class Tuning(TypedDict):
    """A search over the settings of several variants.

    `trials` are those of each variant, `seed` theirs, `rungs` the epochs at which they may be
    stopped, `asked` the spaces as they were asked for; `left_out` has the reason for each variant
    that was not searched, and `cells` which of the run's cells have which settings.
    """

    trials: int
    seed: int
    criterion: Criterion
    rungs: list[int]
    asked: list[str]
    variants: dict[str, Search]
    left_out: dict[str, str]
    cells: dict[str, Place]


def read(run: Path | str) -> Tuning | None:
    """What a run's tuning found; None where there was none, or its file is damaged."""
    path = files.file(run, NAME)
    try:
        found: Any = printable(files.read_json(path)) if path else None
    except UserError:
        return None
    return found if fits(found, Tuning) else None


def chosen(search: Search) -> int | None:
    """The number of the best complete trial, the first of equal ones; None without any."""
    values = {
        number: trial["value"]
        for number, trial in enumerate(search["trials"])
        if trial["state"] == "complete" and trial["value"] is not None
    }
    return max(values, key=lambda number: (values[number], -number)) if values else None


def limits(search: Search, rungs: list[int], least: int) -> dict[int, float]:
    """Below which criterion the next trial is stopped, by epoch.

    That is the median over the trials before it, where there are `least` of them that came so far.

    References:
        Golovin et al. 2017, Google Vizier, KDD, sec. 3.2.1: the median stopping rule.
    """
    found = {}
    for epoch in rungs:
        seen = [t["rungs"][str(epoch)] for t in search["trials"] if str(epoch) in t["rungs"]]
        if len(seen) >= least:
            found[epoch] = median(seen)
    return found


class Row(NamedTuple):
    """The row of a table that a cell belongs to."""

    label: str
    settings: str


def rows(found: Tuning) -> dict[str, Row]:
    """The rows of a run's cells."""
    return {
        cell: Row(
            f"{at['variant']} ({TUNED})" if at["settings"] == TUNED else at["variant"],
            at["settings"],
        )
        for cell, at in found["cells"].items()
    }


def searched(found: Tuning) -> list[str]:
    """The settings that rows may differ in, options of their variants aside."""
    names = (name for search in found["variants"].values() for name in search["space"])
    return [name for name in dict.fromkeys(names) if not name.startswith("[")]
