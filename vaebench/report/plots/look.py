"""How each variant is drawn: a colour, a marker and a dash that its name decides."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

#: Legible on white and on near-black.
COLOURS = (
    *("#3b82f6", "#e0821a", "#16a06a", "#d9489a", "#8b5cf6"),
    *("#0e9fb5", "#a3842b", "#e5484d", "#6b8e23", "#8d6e63"),
)
MARKERS = "osD^vPX<>p"
#: The markers as characters, for the page's legends.
SIGNS = dict(zip(MARKERS, "●■◆▲▼✚✖◀▶⬟", strict=True))
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
_GREY = "#8a8d93"
#: A plot of more variants than this shows some of them in grey: all but the first few.
_MOST = 8
_FEW = 6
#: Markers along a line.
_MARKS = 6


class Look:
    """A colour, a marker and a dash for each variant, the same in all plots of a page.

    A name has the same colour on every page, but where another name of that page, earlier in the
    alphabet, has it already: then the next free one.

    Args:
        labels: The variants.
        grey: Those of them that stay in the background.
    """

    def __init__(self, labels: Iterable[str], grey: Iterable[str] = ()) -> None:
        self.labels = list(dict.fromkeys(labels))
        self.grey = frozenset(grey)
        self._places = _places(self.labels)

    def tag(self, label: str) -> str:
        """What a plot's artists of the variant are called, for scripts that hide or show them."""
        return f"row-{self.labels.index(label)}"

    def focused(self, labels: Sequence[str]) -> "Look":
        """The look of a plot of `labels`, the best first: of many all but a few are grey."""
        return Look(self.labels, labels[_FEW:] if len(labels) > _MOST else ())

    def line(self, label: str, points: int = 0) -> dict[str, Any]:
        """How the variant's line of so many points is drawn."""
        if label in self.grey:
            thin = {"linewidth": 0.8, "alpha": 0.55, "zorder": 1.5}
            return {"color": _GREY, "gid": self.tag(label), **thin}
        place = self._places[label]
        dash = _DASHES[(place + place // len(COLOURS)) % len(_DASHES)]
        found = {"color": self.colour(label), "linestyle": dash, "gid": self.tag(label)}
        if points:
            step = max(1, points // _MARKS)
            found |= {"marker": self.marker(label), "markersize": 4}
            found |= {"markevery": (place % step, step)}
        return found

    def colour(self, label: str) -> str:
        """The variant's colour."""
        return _GREY if label in self.grey else COLOURS[self._places[label] % len(COLOURS)]

    def marker(self, label: str) -> str:
        """The variant's marker; with the colour it is unique among a hundred."""
        place = self._places[label]
        return MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]

    def sign(self, label: str) -> str:
        """The marker as a character."""
        return SIGNS[self.marker(label)]


def _places(labels: Iterable[str]) -> dict[str, int]:
    """A number for each label, in rounds of as many as there are colours."""
    found: dict[str, int] = {}
    for label in sorted(labels):
        start = hashlib.sha256(f"1{label}".encode()).digest()[0] % len(COLOURS)
        free = set(range((len(found) // len(COLOURS) + 1) * len(COLOURS))) - set(found.values())
        found[label] = min(free, key=lambda place: ((place - start) % len(COLOURS), place))
    return found
