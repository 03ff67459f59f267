"""The one exception that is written for the user's eyes."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

#: So many names hide the one that was meant.
_MANY = 20


class UserError(Exception):
    """A request that cannot be met; its text is one sentence naming the remedy."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the closest one that does."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    if close and len(names) > _MANY:
        return UserError(f"No {kind} {name!r}.{hint} There are {len(names)} to choose from.")
    return UserError(f"No {kind} {name!r}.{hint} Available: {', '.join(names) or 'none'}.")


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
