"""The terms of training and validation over epochs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank
from vaebench.runs.numbers import Numbers

_POINTS = 200
_PANELS = 16
_OWN = "What each variant maximises, which is not the same for all: no one wins here."
#: Units of terms that are not in nats.
_UNITS = {
    "critic": "loss",
    "decoder_against_critic": "loss",
    "rival": "loss",
    "against_rival": "loss",
    "clipped": "share of steps",
}
_WORDS = {
    "valid": "Validation",
    "train": "Training",
    "elbo": "ELBO",
    "kl": "KL",
    "log_px": "log p(x|z)",
}


def curves(
    histories: Mapping[str, Sequence[Numbers]], look: Look
) -> Iterator[tuple[str, str, Figure]]:
    """Each term of validation and training over epochs: heading, explanation, figure."""
    for term in _terms(histories):
        words = [_WORDS.get(word, word.replace("_", " ")) for word in term.split("_", 1)]
        text = _OWN if term.endswith("_objective") else ""
        yield ": ".join(words), text, curve(term, histories, look)


def curve(term: str, histories: Mapping[str, Sequence[Numbers]], look: Look) -> Figure:
    """One term over epochs: mean and range over seeds of each variant."""
    figure, axes = blank(3.6, 2.3)
    late: list[np.ndarray] = []
    for label, tables in histories.items():
        epochs, values = _seeds(term, tables)
        if len(values):
            line = look.line(label, int((~np.isnan(values[0])).sum()))
            late.append(_curve(axes, epochs, values, line, band=label not in look.grey))
    _window(axes, late)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(_unit(term), parse_math=False)
    return figure


def _seeds(term: str, tables: Sequence[Numbers]) -> tuple[np.ndarray, np.ndarray]:
    """The epochs (E,) in which any seed has a term, and the term (S, E) of the seeds that do."""
    have = [(np.asarray(table.index), np.asarray(table[term])) for table in tables if term in table]
    have = [(epochs, values) for epochs, values in have if not np.isnan(values).all()]
    if not have:
        return np.zeros(0), np.zeros((0, 0))
    every = have[0][0]
    if all(np.array_equal(epochs, every) for epochs, _ in have):
        found = np.array([values for _, values in have])
    else:
        every = np.unique(np.concatenate([epochs for epochs, _ in have]))
        found = np.full((len(have), len(every)), np.nan)
        for row, (epochs, values) in zip(found, have, strict=True):
            row[np.searchsorted(every, epochs)] = values
    known = ~np.isnan(found).all(axis=0)
    return every[known], found[:, known]


def _unit(term: str) -> str:
    """The unit of a term: nats, but for what is known to be in another one."""
    return _UNITS.get(term.partition("_")[2], "nats")


def _terms(histories: Mapping[str, Sequence[Numbers]]) -> list[str]:
    """What is known of any variant, validation before training."""
    names: dict[str, None] = {}
    for table in (table for tables in histories.values() for table in tables):
        for name in table:
            if name not in names and name.startswith(("train_", "valid_")):
                if not np.isnan(table[name]).all():
                    names[name] = None
    return sorted(names, key=lambda name: not name.startswith("valid_"))[:_PANELS]


def _curve(
    axes: Axes, epochs: np.ndarray, values: np.ndarray, line: dict[str, Any], *, band: bool
) -> np.ndarray:
    """Draw seeds (S, E) as a line, with a band or not; return what has to stay in view."""
    step = max(1, len(epochs) // _POINTS)
    epochs, values = epochs[::step], values[:, ::step]
    mean = np.nanmean(values, axis=0)
    axes.plot(epochs, mean, **line)
    if band and len(values) > 1:
        axes.fill_between(
            epochs,
            np.nanmin(values, axis=0),
            np.nanmax(values, axis=0),
            color=line["color"],
            alpha=0.18,
            linewidth=0,
            gid=line["gid"],
        )
    return mean[len(mean) // 8 :]


def _window(axes: Axes, late: list[np.ndarray]) -> None:
    """Limit the view to what follows the first eighth of training, which would flatten the rest."""
    values = np.concatenate(late) if late else np.zeros(0)
    if len(values) and np.ptp(values) > 0:
        low, high = np.quantile(values, [0.01, 0.99])
        margin = 0.15 * (high - low) or np.ptp(values)
        axes.set_ylim(low - margin, high + margin)
