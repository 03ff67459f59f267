"""The cell that a record is of, as its settings describe it. No torch."""

import math
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from vaebench.config.cell import Cell
from vaebench.errors import UserError
from vaebench.runs.schema import PartRecord, Record

_MOST_CHANNELS = 2**16
#: The most words of a vocabulary.
_MOST_SYMBOLS = 2**20
#: The most numbers of a condition, and the most classes.
_MOST_NUMBERS = 2**24


class Described(NamedTuple):
    """What a model is built for.

    Attributes:
        cell: The cell.
        shape: Channels, height and width of its pictures, length and symbols of its sequences, or
            elements, channels, height and width of its sets; of items of several parts the numbers
            of all of them.
        levels: L, the number of grey levels, or of symbols.
        items: The number of training images.
        condition: The shape of what an image is modelled given, where there is such a thing.
        classes: The labels that are given or may be seen in training.
        parts: What each part of an item is, where there are several.
    """

    cell: Cell
    shape: tuple[int, ...]
    levels: int
    items: int
    condition: tuple[int, ...] | None
    classes: tuple[int, ...]
    parts: tuple[PartRecord, ...]

    @property
    def kind(self) -> str:
        """What items are: ``pictures``, ``tokens``, ``sets`` or ``modalities``."""
        return kind_of(self.shape)


def kind_of(shape: Sequence[int]) -> str:
    """What items of a shape are: modalities (S,), tokens (T, V), pictures or sets (n, C, H, W)."""
    return {1: "modalities", 2: "tokens", 4: "sets"}.get(len(shape), "pictures")


def described(record: Record) -> Described:
    """What a record's model is built for; UserError where the record lacks it."""
    known = record["config"] | {"data": record["data"].get("hash", "")}
    known |= {"code": record["variant"].get("code", "")}
    shape, levels = record["data"].get("shape", []), record["data"].get("levels", 0)
    try:
        values: dict[str, Any] = {
            f.name: tuple(value) if isinstance(value := known[f.name], list) else value
            for f in fields(Cell)
            if f.name in known
        }
        cell = Cell(**values)
        whole = [*shape, levels, cell.latent, cell.width, cell.seed]
        good = len(shape) in (1, 2, 3, 4) and all(type(n) is int and n >= 0 for n in whole)
        texts = (cell.plugin, cell.backbone, cell.likelihood, cell.critic)
        good = good and all(type(text) is str for text in texts) and levels >= 2
        pictures = len(shape) != 2
        good = good and levels <= (256 if pictures else _MOST_SYMBOLS)
        sides = shape if len(shape) > 2 else shape[: len(shape) - 1]
        good = good and max(cell.latent, cell.width, *sides) <= _MOST_CHANNELS
        good = good and (pictures or levels == shape[1])
        good = good and min(cell.latent, cell.width, *shape) > 0
        items, classes = record["data"].get("train", 0), record["data"].get("classes", [])
        condition = record["data"].get("condition")
        counts = [items, *(condition or [])]
        good = good and all(type(n) is int and 0 <= n <= _MOST_NUMBERS for n in counts)
        good = good and (condition is None or len(condition) in (1, 3))
        good = good and math.prod(condition or [0]) <= _MOST_NUMBERS
        good = good and all(type(label) is int for label in classes)
        good = good and len(classes) <= _MOST_CHANNELS
        parts = tuple(record["data"].get("parts", []))
        good = good and (len(shape) == 1) == bool(parts) and all(map(_sound, parts))
        good = good and (not parts or sum(map(_numbers, parts)) == shape[0] <= _MOST_NUMBERS)
        good = good and len({part["name"] for part in parts}) == len(parts)
    except KeyError:
        good = False
    except TypeError:
        good = False
    if not good:
        raise UserError(
            f"{record['cell']} does not say how its model is built, perhaps since an older version "
            "wrote it; delete its folder and run the same command again."
        )
    return Described(
        cell,
        tuple(shape),
        levels,
        items,
        None if condition is None else tuple(condition),
        tuple(classes),
        parts,
    )


def _sound(part: PartRecord) -> bool:
    """Whether a record describes a part that can be built."""
    shape, levels = part["shape"], part["levels"]
    if not all(type(n) is int and 0 < n <= _MOST_CHANNELS for n in (*shape, levels)):
        return False
    tokens = part["kind"] == "tokens"
    named = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", part["name"])
    fits = len(shape) == 2 and levels == shape[1] if tokens else len(shape) == 3 and levels <= 256
    return bool(named and fits and levels >= 2 and part["kind"] in ("pictures", "tokens"))


def _numbers(part: PartRecord) -> int:
    """What a part comes to in an item."""
    return part["shape"][0] if part["kind"] == "tokens" else math.prod(part["shape"])
