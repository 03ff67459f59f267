"""The one exception that is written for the user's eyes, and what its sentences are made of."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

#: So many names hide the one that was meant.
_MANY = 20
#: Characters of a reason that are printed; logs keep the rest.
LONGEST = 200
_LEAST = 0.6
#: Control characters, halves of surrogate pairs and marks that turn the direction of the text.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class UserError(Exception):
    """A request that cannot be met; its text is one sentence naming the remedy.

    What it quotes of files and plugins is made printable.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, 2**16))


def printable(value: Any, longest: int = 2000) -> Any:
    """The value with texts that no file, terminal or page chokes on, each cut at `longest`."""
    if isinstance(value, str):
        return _text(value, longest)
    if isinstance(value, dict):
        return {
            _text(key, 2000) if type(key) is str else key: _text(item, longest)
            if type(item) is str
            else printable(item, longest)
            for key, item in value.items()
        }
    return [printable(item, longest) for item in value] if isinstance(value, list) else value


@lru_cache(2**13)
def _text(text: str, longest: int) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)[:longest]


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the closest one that does."""
    names = sorted(known)
    hint = meant(nearest(name, names, 1))
    if hint and len(names) > _MANY:
        return UserError(f"No {kind} {name!r}. {hint} There are {len(names)} to choose from.")
    parts = (f"No {kind} {name!r}.", hint, f"Available: {', '.join(names) or 'none'}.")
    return UserError(" ".join(filter(None, parts)))


def meant(names: Sequence[str]) -> str:
    """``Did you mean 'a' or 'b'?``, or nothing without names."""
    return f"Did you mean {' or '.join(map(repr, names))}?" if names else ""


def nearest(text: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names that are most like the text or begin so, best first; others are left out."""

    def likeness(name: str) -> float:
        ends = {len(text) - 1, len(text), len(text) + 1, len(name)}
        return max(SequenceMatcher(None, text, name[: max(1, end)]).ratio() for end in ends)

    found = sorted((-likeness(name), name) for name in names)
    return [name for worse, name in found[:count] if -worse >= _LEAST]


def short(reason: str) -> str:
    """The first line of a reason, printable, and cut where it is long."""
    line = (printable(reason).strip().splitlines() or [""])[0].strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"
