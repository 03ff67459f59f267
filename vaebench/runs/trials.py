"""The trials of a tuning as a file for machines and one for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from vaebench.config.space import words
from vaebench.runs import files
from vaebench.runs.frames import inert
from vaebench.runs.tuning import NAME, Tuning, chosen


def write(run: Path, found: Tuning) -> None:
    """Write what was found so far, and the trials as ``trials.csv``."""
    files.write_json(run / NAME, found)
    table = pd.DataFrame(rows(found), columns=_COLUMNS, dtype=object)
    files.write_text(run / "trials.csv", table.map(inert).to_csv(index=False))


_COLUMNS = ["variant", "trial", "settings", "state", "criterion", "value", "se"]
_COLUMNS += ["chosen", "seconds", "reason"]


def rows(found: Tuning) -> Iterator[dict[str, Any]]:
    """A row for each trial: its variant, settings, criterion with its error, and state."""
    for variant, search in found["variants"].items():
        best = chosen(search)
        for number, trial in enumerate(search["trials"]):
            yield {
                "variant": variant,
                "trial": number,
                "settings": words(trial["settings"]),
                "state": trial["state"],
                "criterion": found["criterion"]["title"],
                "value": trial["value"],
                "se": trial["se"],
                "chosen": number == best,
                "seconds": trial["seconds"],
                "reason": trial["reason"],
            }
