"""The one exception that is written for the user's eyes."""

from collections.abc import Iterable
from difflib import get_close_matches

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
