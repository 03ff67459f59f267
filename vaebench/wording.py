"""Words that fit a line of the terminal. No torch."""

from collections.abc import Iterable
from difflib import SequenceMatcher

#: Characters of a reason that are printed; logs keep the rest.
LONGEST = 200
_LEAST = 0.6


def short(reason: str) -> str:
    """The first line of a reason, cut where it is long."""
    line = (reason.strip().splitlines() or [""])[0].strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"


def nearest(text: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names that begin most like the text, best first; those that do not are left out."""

    def likeness(name: str) -> float:
        ends = (len(text) - 1, len(text), len(text) + 1)
        return max(SequenceMatcher(None, text, name[: max(1, end)]).ratio() for end in ends)

    found = sorted((-likeness(name), name) for name in names)
    return [name for worse, name in found[:count] if -worse >= _LEAST]
