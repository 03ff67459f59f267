"""The one spelling of a configured thing: ``name[option=value,…]``, on the command line and after.

No torch here: the command line parses its arguments with it before anything heavy is loaded.
"""

import os
import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from vaebench.errors import UserError

_SPELLED = re.compile(r"([^\[\]=,|]+)(?:\[([^\[\]]*)\])?")


def split(text: str) -> list[str]:
    r"""The items of a comma-separated list; commas inside brackets, and ``\,``, do not separate."""
    found = re.findall(r"(?:\\,|[^,\[]|\[[^\]]*\]?)+", text)
    return [item.strip().replace("\\,", ",") for item in found if item.strip()]


def join(items: Iterable[str]) -> str:
    r"""The inverse of `split`: commas outside of brackets are written ``\,``."""
    return ",".join(re.sub(r"(\[[^\]]*\]?)|,", _escaped, item) for item in items)


def _escaped(match: re.Match[str]) -> str:
    return match[1] or "\\,"


def absolute(path: str) -> str:
    """The absolute path of ``~/pictures`` or ``pictures``; absolute ones stay as they are spelled.

    Raises:
        UserError: The path is relative and the working directory is gone.
    """
    path = os.path.expanduser(path)
    try:
        return path if os.path.isabs(path) else os.path.abspath(path)
    except OSError as error:
        raise UserError(
            f"{path} is relative to a working directory that is gone; name its absolute path."
        ) from error


def leads_to(dataset: str, located: str) -> bool:
    """Whether a name is another one, but for a relative path in place of its absolute one."""
    places = [i + 1 for i, character in enumerate(dataset) if character == ":"]
    return any(dataset[:i] + absolute(dataset[i:]) == located for i in places)


def shown(value: Any) -> str:
    """A value as one would type it: a whole number without a point, 8 for 8.0."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def parse(spelled: str) -> tuple[str, dict[str, str]]:
    """``gmm[components=8]`` as its name and its options."""
    match = _SPELLED.fullmatch(spelled.strip())
    if not match:
        raise UserError(f"Cannot read {spelled!r}; write name or name[option=value,…].")
    name, inside = match.groups()
    return name, _options(inside or "", spelled)


def _options(inside: str, spelled: str) -> dict[str, str]:
    """The options between the brackets of what is spelled."""
    options: dict[str, str] = {}
    for item in filter(None, inside.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise UserError(f"Cannot read {item!r} in {spelled!r}; write option=value.")
        if key in options:
            raise UserError(f"{spelled!r} says {key} twice; write it once.")
        options[key] = value
    return options


def spelled(dataset: str) -> tuple[str, dict[str, str]]:
    """A data set's name, with its path, and its options: of ``folder:PATH[given=label]``.

    What looks like options behind a path belongs to it where there is such a file or folder.
    """
    if ":" not in dataset:
        return parse(dataset) if "[" in dataset else (dataset, {})
    match = re.fullmatch(r"(.+)\[([^\[\]]*=[^\[\]]*)\]", dataset)
    places = [i + 1 for i, character in enumerate(dataset) if character == ":"]
    if not match or any(os.path.exists(os.path.expanduser(dataset[i:])) for i in places):
        return dataset, {}
    return match[1], _options(match[2], dataset)


def alike(one: str, other: str) -> bool:
    """Whether two spellings say the same: options in any order, 1 and 1.0 the same number."""
    return one == other or _meaning(one) == _meaning(other)


def _meaning(text: str) -> tuple[str, dict[str, Any]]:
    try:
        name, options = spelled(text)
    except UserError:
        return text, {}
    return name, {key: _value(value) for key, value in options.items()}


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def spell(name: str, options: Mapping[str, Any]) -> str:
    """The inverse of `parse`, options in alphabetical order."""

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    inside = ",".join(f"{key}={text(options[key])}" for key in sorted(options))
    return f"{name}[{inside}]" if inside else name


def expand(spelled: str) -> list[str]:
    """``gmm[components=8|16]`` as one spelling for each combination of the alternatives."""
    name, options = parse(spelled)
    values = [value.split("|") for value in options.values()]
    return [spell(name, dict(zip(options, choice, strict=True))) for choice in product(*values)]
