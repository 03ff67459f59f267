"""What tuning is to do: plain data between the driver and its workers. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vaebench.config.cell import Cell, Evaluation
from vaebench.config.space import Space
from vaebench.runs.tuning import Criterion


class Searched(NamedTuple):
    """What is searched of a variant.

    Attributes:
        space: By setting, and by option in brackets.
        default: What the first trial has of these.
    """

    space: dict[str, Space]
    default: dict[str, Any]


class Searches(NamedTuple):
    """What tuning does.

    Attributes:
        found: What is searched of each variant, or why it has not got the criterion.
        criterion: What trials are measured by.
    """

    found: dict[str, Searched | str]
    criterion: Criterion


class Trial(NamedTuple):
    """A training that is measured on validation items.

    Attributes:
        cell: What is trained.
        evaluation: With how much effort the criterion is measured.
        criterion: Its name.
        run: The folder of the run, which may hold a decoder to be frozen.
        rungs: The epochs at which it is measured on the way.
        limits: By epoch the value below which the trial is stopped.
    """

    cell: Cell
    evaluation: Evaluation
    criterion: str
    run: Path
    rungs: tuple[int, ...]
    limits: Mapping[int, float]
