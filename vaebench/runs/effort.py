"""What a record lacks of what is asked for: numbers, or numbers of more effort. No torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vaebench.config.cell import EFFORT
from vaebench.config.effort import USUAL
from vaebench.runs import described
from vaebench.runs.schema import Record

#: Settings of an evaluation that are lists of names.
_NAMES = ("metrics", "sampler")


@dataclass(frozen=True)
class Wanted:
    """A number that is asked for.

    Attributes:
        column: Its column.
        effort: The settings that it depends on.
        code: Digest of the plugin that measures it, empty for vaebench's own.
        group: What its time is counted under.
        kinds: Of what items it is, empty for all.
    """

    column: str
    effort: Mapping[str, Any]
    code: str = ""
    group: str = ""
    kinds: tuple[str, ...] = ()


def lacking(
    record: Record, wanted: Iterable[Wanted], again: bool = False, failed: bool = False
) -> list[str]:
    """The columns that have to be measured, in the order in which they are wanted.

    Those are the columns that the record does not have, or has of less effort, or of other code.

    Args:
        record: A finished cell's.
        wanted: What is asked for.
        again: Whether a number of as much effort shall be replaced.
        failed: Whether what failed, or lacked a file, shall be measured again.
    """
    mine = fitting(record, wanted)
    return [one.column for one in mine if again or _lacks(record, one, failed)]


def fitting(record: Record, wanted: Iterable[Wanted]) -> list[Wanted]:
    """What can be measured of a trained cell's kind of items."""
    return [one for one in wanted if not one.kinds or kind_of(record) in one.kinds]


def kind_of(record: Record) -> str:
    """What items a trained cell is of."""
    return described.kind_of(record["data"].get("shape", ()))


def _lacks(record: Record, wanted: Wanted, failed: bool) -> bool:
    metric = record["metrics"].get(wanted.column)
    if metric is None or (failed and metric["failed"]):
        return True
    if str(metric["depends"].get("code", "")) != wanted.code:
        return True
    return more(wanted.effort, metric["depends"])


def less(record: Record, wanted: Iterable[Wanted]) -> list[str]:
    """The columns that were measured with other effort which is not less than what is asked for.

    They keep their numbers.
    """
    return [
        one.column
        for one in wanted
        if (metric := record["metrics"].get(one.column)) is not None
        and any(metric["depends"].get(name) != value for name, value in one.effort.items())
        and not more(one.effort, metric["depends"])
    ]


def more(asked: Mapping[str, Any], spent: Mapping[str, Any]) -> bool:
    """Whether the effort that is asked for is more in something, and less in nothing."""
    signs = [_sign(name, asked.get(name), spent.get(name)) for name in asked]
    return any(sign > 0 for sign in signs) and all(sign >= 0 for sign in signs)


def _sign(name: str, asked: Any, spent: Any) -> int:
    """1 where more is asked for than was spent, 0 where they are equal, -1 where that is unknown.

    Effort that was to be chosen is the usual one, and a limit that was not set an infinite one.
    """
    if asked == spent:
        return 0
    direction = EFFORT.get(name, 0)
    unset = USUAL.get(name, math.inf)
    one, other = (unset if value is None else value for value in (asked, spent))
    if one == other:
        return 0
    if not direction or not all(isinstance(value, int | float) for value in (one, other)):
        return -1
    return 1 if direction * one > direction * other else -1


def joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What two evaluations ask for together: all metrics, and of each effort the larger one.

    Args:
        first: Fields of an `Evaluation`, some of which may be missing.
        second: Those of another one, which decides where neither is more.
    """
    found = {**first, **second}
    for name in first.keys() & EFFORT.keys() & second.keys():
        if _sign(name, first[name], second[name]) > 0:
            found[name] = first[name]
    for name in _NAMES:
        found[name] = tuple(dict.fromkeys([*first.get(name, ()), *second.get(name, ())]))
    return found


def covers(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether an evaluation asks for all that another one asks for."""
    together = joined(part, whole)
    more = any(set(together[name]) - set(whole.get(name, ())) for name in _NAMES)
    return not more and all(
        together.get(name) == whole.get(name) for name in EFFORT if name in part
    )
