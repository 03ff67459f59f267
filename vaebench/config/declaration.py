"""How a setting is declared: once, as a field with its default, its help and its bounds."""

import math
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from vaebench.config.names import shown, split
from vaebench.errors import UserError, unknown

_TAKES = {int: "whole numbers", float: "finite numbers", str: "names"}
_LONGEST_RANGE = 10_000


def setting(
    default: Any,
    help: str,
    *,
    asked: str = "",
    axis: bool = False,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    noun: str = "",
    pace: bool = False,
    effort: int = 0,
    absent: Any = MISSING,
) -> Any:
    """A field of a frozen dataclass that declares a setting; its annotation is the type.

    Args:
        default: What a run has where nothing is asked for; a tuple of several values for an axis
            that has several. None stands for the data set's own, or for nothing.
        help: One line for the command line and the documentation.
        asked: The name in a run's settings, where it differs from the field's.
        axis: Whether a run may take several values, each of which makes cells of its own.
        least: The smallest value.
        above: What a value must exceed.
        below: What a value must stay below.
        most: The largest value.
        choices: The only values that there are.
        noun: What an error calls a choice that does not exist.
        pace: Whether the time of a training step depends on it.
        effort: 1 where larger values, -1 where smaller ones, make a number worth more.
        absent: What cells did before the setting existed. With it the names of older cells stay:
            they do not count a setting that has this value. Needed for each setting that is added.
    """
    more = {"default": default, "help": help, "asked": asked, "axis": axis, "least": least}
    more |= {"above": above, "below": below, "most": most, "choices": choices, "noun": noun}
    more |= {"pace": pace, "effort": effort}
    return field(default=absent, metadata={"setting": more})


@dataclass(frozen=True)
class Setting:
    """A declared setting.

    Attributes:
        name: The field of a cell.
        asked: The key of a run's settings.
        kind: int, float or str.
        default: What a run has where nothing is asked for: a tuple where it takes several values.
        help: One line of text.
        several: Whether a run takes several values.
        axis: Whether each of these makes cells of its own.
        least: The smallest value, if there is one.
        above: What a value must exceed, if anything.
        below: What a value must stay below, if anything.
        most: The largest value, if there is one.
        choices: The only values that there are, if these can be named.
        noun: What an error calls a choice that does not exist.
        pace: Whether the time of a training step depends on it.
        effort: 1 where larger values, -1 where smaller ones, make a number worth more.
        absent: What older cells did, or MISSING where all cells have the setting.
    """

    name: str
    asked: str
    kind: type
    default: Any
    help: str
    several: bool
    axis: bool
    least: float | None
    above: float | None
    below: float | None
    most: float | None
    choices: tuple[str, ...]
    noun: str
    pace: bool
    effort: int
    absent: Any

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return f"--{self.asked.replace('_', '-')}"

    @property
    def takes(self) -> str:
        """What its values are, in words."""
        ranges = ": 0,1,2 or 0..4" if self.axis and self.kind is int else ""
        return _TAKES[self.kind] + ranges

    @property
    def shown(self) -> str:
        """The default as one would type it, empty for None."""
        values = self.default if self.several else (self.default,)
        return ",".join(shown(value) for value in values if value is not None)

    def read(self, value: Any) -> Any:
        """What a run holds for a value from a file, or for a text of the command line.

        Raises:
            ValueError: The value is not of the setting's type.
        """
        if not self.several:
            (one,) = self._values(value)
            return one
        if isinstance(value, str):
            value = split(value)
        items = value if isinstance(value, list | tuple) else [value]
        found = dict.fromkeys(one for item in items for one in self._values(item))
        if not found:
            raise ValueError("no values")
        return tuple(found)

    def _values(self, item: Any) -> list[Any]:
        """The values that an item of a list stands for: several where it is a range."""
        if item is None and self.default in (None, (None,)):
            return [None]
        if isinstance(item, str) and self.kind is not str:
            if self.axis and self.kind is int and (match := re.fullmatch(r"(\d+)\.\.(\d+)", item)):
                return _range(int(match[1]), int(match[2]))
            item = self.kind(item)
        if self.kind is float and type(item) is int:
            item = float(item)
        if type(item) is not self.kind or (type(item) is float and not math.isfinite(item)):
            raise ValueError(f"not {self.takes}")
        return [item]

    def plain(self, value: Any) -> Any:
        """The inverse of `read` for files: one value is written as itself, several as a list."""
        if not self.several:
            return value
        (first, *others) = value
        alone = not others and (type(first) is not str or split(first) == [first])
        return first if alone else list(value)

    def faults(self, value: Any) -> Iterator[UserError]:
        """What is wrong with the values that a run holds."""
        for one in value if self.several else (value,):
            if one is None:
                continue
            if self.choices and one not in self.choices:
                yield unknown(self.noun or f"choice of {self.flag}", one, self.choices)
            if self.least is not None and not one >= self.least:
                rule = "not be negative" if self.least == 0 else f"be {self.least:g} or more"
                yield UserError(f"{self.flag} must {rule}.")
            if self.above is not None and not one > self.above:
                rule = "positive" if self.above == 0 else f"more than {self.above:g}"
                yield UserError(f"{self.flag} must be {rule}.")
            if self.below is not None and not one < self.below:
                yield UserError(f"{self.flag} must be less than {self.below:g}.")
            if self.most is not None and not one <= self.most:
                yield UserError(f"{self.flag} must be {self.most:g} or less.")


def _range(first: int, last: int) -> list[int]:
    if not first <= last < first + _LONGEST_RANGE:
        raise ValueError("the range is empty or too long")
    return list(range(first, last + 1))


def declared(cell: type) -> tuple[Setting, ...]:
    """The settings that a dataclass declares, in the order of their declaration."""
    types = get_type_hints(cell)
    return tuple(
        _setting(one.name, types[one.name], one.default, **one.metadata["setting"])
        for one in fields(cell)
        if "setting" in one.metadata
    )


def _setting(name: str, hint: Any, absent: Any, *, default: Any, **more: Any) -> Setting:
    kind, *_ = [part for part in get_args(hint) if part is not type(None)] or [hint]
    several = more["axis"] or get_origin(hint) is tuple
    if several and not isinstance(default, tuple):
        default = (default,)
    more |= {"asked": more["asked"] or name, "several": several, "absent": absent}
    return Setting(name=name, kind=kind, default=default, **more)
