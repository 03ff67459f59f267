"""The cell that a record is of, as its settings describe it. No torch."""

from dataclasses import fields
from typing import Any

from vaebench.config.cell import Cell
from vaebench.errors import UserError
from vaebench.runs.schema import Record

_MOST_CHANNELS = 2**16


def described(record: Record) -> tuple[Cell, tuple[int, int, int], int]:
    """The cell, and shape and levels of its pictures; UserError where the record lacks them."""
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
        good = len(whole) == 7 and all(type(number) is int and number >= 0 for number in whole)
        texts = (cell.plugin, cell.backbone, cell.likelihood, cell.critic)
        good = good and all(type(text) is str for text in texts) and 2 <= levels <= 256
        good = good and max(cell.latent, cell.width, *shape) <= _MOST_CHANNELS
        good = good and min(cell.latent, cell.width, *shape) > 0
    except TypeError:
        good = False
    if not good:
        raise UserError(
            f"{record['cell']} does not say how its model is built, perhaps since an older version "
            "wrote it; delete its folder and run the same command again."
        )
    return cell, (shape[0], shape[1], shape[2]), levels
