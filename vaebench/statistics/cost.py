"""What training costs until it is good enough: the seconds to an ELBO that cells share."""

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

#: The share of the cells, at least, that reach the ELBO to which all are timed.
REACHED = 0.75


class Columns(Protocol):
    """Columns of equal length by name, such as those of a frame."""

    def __contains__(self, name: object, /) -> bool: ...
    def __getitem__(self, name: str, /) -> Any: ...


def seconds_to_elbo(
    histories: Mapping[str, Columns],
    groups: Mapping[str, Hashable],
    target: float | None = None,
) -> pd.DataFrame:
    """The training seconds after which each cell first has a validation ELBO.

    Args:
        histories: By cell, a row for each epoch with the columns ``valid_elbo`` (nats per image)
            and ``seconds`` (of training so far); cells that lack one of them reach nothing.
        groups: By cell, what has to be equal for ELBOs to be comparable: data and observation.
        target: The ELBO; by default the highest that three quarters of a group's cells reach.

    Returns:
        A row for each cell of `histories`: its ``target``, NaN where no cell of its group has an
        ELBO, and the ``seconds``, NaN where the cell never reaches it.
    """
    known = {cell: _known(history) for cell, history in histories.items()}
    targets = {} if target is not None else _targets(known, groups)
    rows = []
    for cell, (elbo, seconds) in known.items():
        goal = target if target is not None else targets.get(groups[cell], np.nan)
        reached = seconds[elbo >= goal]
        rows.append((goal, reached.min() if len(reached) else np.nan))
    return pd.DataFrame(rows, index=list(known), columns=["target", "seconds"], dtype=float)


def _known(history: Columns) -> np.ndarray:
    """The epochs (2, E) that have both an ELBO and seconds."""
    if not ("valid_elbo" in history and "seconds" in history):
        return np.empty((2, 0))
    both = np.array([history["valid_elbo"], history["seconds"]], float)
    return both[:, ~np.isnan(both).any(0)]


def _targets(
    known: Mapping[str, np.ndarray], groups: Mapping[str, Hashable]
) -> dict[Hashable, float]:
    best: dict[Hashable, list[float]] = {}
    for cell, (elbo, _) in known.items():
        if len(elbo):
            best.setdefault(groups[cell], []).append(elbo.max())
    return {
        group: float(np.quantile(values, 1 - REACHED, method="lower"))
        for group, values in best.items()
    }
