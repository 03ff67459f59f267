"""The one spelling of a configured thing: ``name[option=value,…]``, on the command line and after.

No torch here: the command line parses its arguments with it before anything heavy is loaded.
"""

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from vaebench.errors import UserError

_SPELLED = re.compile(r"([^\[\]=,|]+)(?:\[([^\[\]]*)\])?")


def split(text: str) -> list[str]:
    """The items of a comma-separated list; commas inside brackets do not separate."""
    return [item.strip() for item in re.findall(r"(?:[^,\[]|\[[^\]]*\]?)+", text) if item.strip()]


def parse(spelled: str) -> tuple[str, dict[str, str]]:
    """``gmm[components=8]`` as its name and its options."""
    match = _SPELLED.fullmatch(spelled.strip())
    if not match:
        raise UserError(f"Cannot read {spelled!r}; write name or name[option=value,…].")
    name, inside = match.groups()
    options: dict[str, str] = {}
    for item in filter(None, (inside or "").split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise UserError(f"Cannot read {item!r} in {spelled!r}; write option=value.")
        options[key] = value
    return name, options


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
