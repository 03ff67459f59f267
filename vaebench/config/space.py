"""Search spaces: the values of settings and options that tuning may try. Plain data, no torch."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vaebench.config.cell import SETTINGS, Cell
from vaebench.config.names import parse, shown, spell
from vaebench.errors import UserError, unknown

#: Types of values that are spelled in the name of a variant.
_PLAIN = (bool, int, float, str)
_DIGITS = 3


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, whole ones for an option whose default is one.

    Attributes:
        low: The smallest value.
        high: The largest.
        log: Whether they are searched on a logarithmic scale, which positive ones can be.

    Example:
        >>> from vaebench import Range
        >>> str(Range(0.5, 16, log=True))
        '0.5..16 (log)'
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{shown(self.low)}..{shown(self.high)}{' (log)' if self.log else ''}"

    def flaw(self, default: Any) -> str:
        """What is wrong with the space of a setting with this default; empty if nothing is."""
        kinds = (int,) if type(default) is int else (int, float)
        if type(default) not in (int, float):
            return f"is one of numbers, and the default {default!r:.40} is none: give a Choice"
        if not all(type(end) in kinds and math.isfinite(end) for end in (self.low, self.high)):
            noun = "whole" if type(default) is int else "finite"
            return f"has an end that is no {noun} number"
        if type(self.log) is not bool:
            return f"has log={self.log!r:.40}, which is not True or False"
        if not self.low < self.high:
            return "does not go from a smaller number to a larger one"
        if self.log and self.low <= 0:
            return "is logarithmic and does not begin above 0"
        if not self.low <= default <= self.high:
            return f"leaves out the default {shown(default)}, which is the first trial"
        return ""


@dataclass(frozen=True, init=False)
class Choice:
    """Some values, in no order.

    Attributes:
        values: All of them.

    Example:
        >>> from vaebench import Choice
        >>> str(Choice(2, 4, 8))
        '2|4|8'
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return "|".join(_spelled(value) for value in self.values)

    def flaw(self, default: Any) -> str:
        """What is wrong with the space of a setting with this default; empty if nothing is."""
        if len(self.values) < 2:
            return "holds less than two values to choose from"
        for value in self.values:
            if type(value) not in _PLAIN or type(value) is not type(default):
                return f"holds {value!r:.40}, which is no {type(default).__name__} as the default"
            if type(value) is float and not math.isfinite(value):
                return f"holds {value!r}, which is not finite"
            if type(value) is str and not re.fullmatch(r"[^\[\]=,|\s]+", value):
                return f"holds the text {value!r:.40}, which cannot be written in a name"
        if len(set(self.values)) < len(self.values):
            return "holds a value twice"
        if default not in self.values:
            return f"leaves out the default {_spelled(default)}, which is the first trial"
        return ""


Space = Range | Choice
#: Settings that say how a model is trained, not what is modelled or what that may cost, with the
#: space that is searched unless another is asked for. None of `kl_warmup` is up to a quarter of the
#: epochs, and there is none of the others.
SHARED: Mapping[str, Space | None] = {
    "lr": Range(3e-4, 1e-2, log=True),
    "kl_warmup": None,
    "critic_weight": Range(1.0, 100.0, log=True),
    "lr_schedule": None,
    "batch_size": None,
    "weight_decay": None,
    "clip_norm": None,
    "ema": None,
    "word_dropout": None,
}
#: What is asked for of a variant's options, by its name; None for what is not to be searched.
Asked = Mapping[str, Mapping[str, Space | None]]
_SETTINGS = {s.name: s for s in SETTINGS}


def read(texts: tuple[str, ...]) -> tuple[dict[str, Space | None], dict[str, dict[str, str]]]:
    """Spaces as they are asked for: ``lr=1e-3..1e-2``, ``lr=off``, ``gmm[components=2|4]``.

    Returns:
        Those of settings, None for what is not to be searched; and by variant the texts of those
        of its options, which `of_option` reads.

    Raises:
        UserError: There is no such setting, or a text is no space of it.
    """
    settings: dict[str, Space | None] = {}
    options: dict[str, dict[str, str]] = {}
    for text in texts:
        if "[" in text:
            name, given = parse(text)
            options.setdefault(name, {}).update(given)
            continue
        name, equals, said = (part.strip() for part in text.partition("="))
        if not equals:
            raise UserError(f"--space {text!r} is not of the form lr=1e-3..1e-2 or lr=off.")
        name = name.replace("-", "_")
        if name not in SHARED:
            raise unknown("setting to be tuned:", name, SHARED)
        settings[name] = _of_setting(name, said)
    return settings, options


def _of_setting(name: str, text: str) -> Space | None:
    setting = _SETTINGS[name]
    space = _space(text, setting.kind, f"--space {name}={text}")
    if space is not None:
        ends = (space.low, space.high) if isinstance(space, Range) else space.values
        for fault in setting.faults(ends):
            raise UserError(f"--space {name}={text}: {fault}")
    return space


def of_option(what: str, text: str, default: Any) -> Space | None:
    """The space of an option with a default, called `what`; None for ``off``.

    Raises:
        UserError: The text is none, or leaves out the default.
    """
    space = _space(text, type(default), what)
    if space is not None and (flaw := space.flaw(default)):
        raise UserError(f"{what} {flaw}.")
    return space


def _space(text: str, kind: type, what: str) -> Space | None:
    """A space in words: positive numbers are searched on a logarithmic scale."""
    if text == "off":
        return None
    try:
        if kind in (int, float) and ".." in text:
            low, _, high = text.partition("..")
            ends = kind(low), kind(high)
            return Range(*ends, log=ends[0] > 0)
        if kind is bool:
            known = {"true": True, "false": False}
            return Choice(*(known[one] for one in text.split("|")))
        if "|" in text:
            return Choice(*(kind(one) for one in text.split("|")))
    except (ValueError, KeyError, OverflowError):
        pass
    form = "a|b|c" if kind in (str, bool) else "low..high, a|b|c"
    raise UserError(f"{what} cannot be read; a space of it is {form} or off.")


def shared(cell: Cell, asked: Mapping[str, Space | None]) -> dict[str, Space]:
    """The spaces of the settings of a cell, where they have an effect.

    Raises:
        UserError: A space that is asked for leaves out the cell's own value, or cannot be tried.
    """
    found = {**SHARED, "kl_warmup": _warmup(cell), **asked}
    if cell.critic == "none":
        found["critic_weight"] = None
    known = {name: space for name, space in found.items() if space is not None}
    for name, space in list(known.items()):
        if flaw := space.flaw(getattr(cell, name)):
            if name in asked:
                raise UserError(f"--space {name}={space} {flaw}.")
            known[name] = _around(space, getattr(cell, name))
    if (last := known.get("kl_warmup")) and max(_values(last)) >= cell.epochs:
        raise UserError("--space kl_warmup must end before the last of the --epochs.")
    return known


def _warmup(cell: Cell) -> Space | None:
    return Range(0, most) if (most := max(cell.epochs // 4, cell.kl_warmup)) else None


def _values(space: Space) -> tuple[Any, ...]:
    return (space.low, space.high) if isinstance(space, Range) else space.values


def _around(space: Space, value: float) -> Space:
    """A declared range that takes in a value outside of it."""
    assert isinstance(space, Range)
    low, high = min(space.low, value), max(space.high, value)
    return Range(low, high, log=space.log and low > 0)


def default(cell: Cell, space: Mapping[str, Space], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell has of what is searched, from the defaults of its variant's options."""
    return {
        name: options[name[1:-1]] if name.startswith("[") else getattr(cell, name) for name in space
    }


def changed(cell: Cell, values: Mapping[str, Any]) -> Cell:
    """The cell with other settings, and, of names in brackets, other options of its variant."""
    name, given = parse(cell.plugin)
    own = {key[1:-1]: value for key, value in values.items() if key.startswith("[")}
    rest = {key: value for key, value in values.items() if not key.startswith("[")}
    plugin = spell(name, {**given, **own}) if own else cell.plugin
    return replace(cell, **{**rest, "plugin": plugin})


def rounded(space: Space, value: Any) -> Any:
    """A value of a space with three significant digits, and not outside of it."""
    if not isinstance(space, Range) or type(value) is not float:
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), float(space.low)), float(space.high))


def words(values: Mapping[str, Any]) -> str:
    """Settings as a reader sees them: ``lr 0.0031, beta 1.2``."""
    return ", ".join(
        f"{name.strip('[]').replace('_', ' ')} {_spelled(value)}" for name, value in values.items()
    )


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value)
