"""The terms of training and validation over epochs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank

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
    histories: Mapping[str, Sequence[pd.DataFrame]], look: Look
) -> Iterator[tuple[str, str, Figure]]:
    """Each term of validation and training over epochs: heading, explanation, figure."""
    for term in _terms(histories):
        words = [_WORDS.get(word, word.replace("_", " ")) for word in term.split("_", 1)]
        text = _OWN if term.endswith("_objective") else ""
        yield ": ".join(words), text, curve(term, histories, look)


def curve(term: str, histories: Mapping[str, Sequence[pd.DataFrame]], look: Look) -> Figure:
    """One term over epochs: mean and range over seeds of each variant."""
    figure, axes = blank(3.6, 2.3)
    late: list[np.ndarray] = []
    for label, frames in histories.items():
        have = [f[term].dropna() for f in frames if term in f and f[term].notna().any()]
        if have:
            band = label not in look.grey
            late.append(
                _curve(axes, pd.concat(have, axis=1), look.line(label, len(have[0])), band=band)
            )
    _window(axes, late)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(_unit(term), parse_math=False)
    return figure


def _unit(term: str) -> str:
    """The unit of a term: nats, but for what is known to be in another one."""
    return _UNITS.get(term.partition("_")[2], "nats")


def _terms(histories: Mapping[str, Sequence[pd.DataFrame]]) -> list[str]:
    """What is known of any variant, validation before training."""
    names = dict.fromkeys(
        column
        for frames in histories.values()
        for frame in frames
        for column in frame.columns[frame.notna().any()]
        if column.startswith(("train_", "valid_"))
    )
    return sorted(names, key=lambda name: not name.startswith("valid_"))[:_PANELS]


def _curve(axes: Axes, values: pd.DataFrame, line: dict[str, Any], *, band: bool) -> np.ndarray:
    """Draw seeds (epochs, S) as a line, with a band or not; return what has to stay in view."""
    values = values.iloc[:: max(1, len(values) // _POINTS)]
    mean = values.mean(axis=1)
    axes.plot(values.index, mean, **line)
    if band and values.shape[1] > 1:
        axes.fill_between(
            values.index,
            values.min(axis=1),
            values.max(axis=1),
            color=line["color"],
            alpha=0.18,
            linewidth=0,
            gid=line["gid"],
        )
    return mean.to_numpy()[len(mean) // 8 :]


def _window(axes: Axes, late: list[np.ndarray]) -> None:
    """Limit the view to what follows the first eighth of training, which would flatten the rest."""
    values = np.concatenate(late) if late else np.zeros(0)
    if len(values) and np.ptp(values) > 0:
        low, high = np.quantile(values, [0.01, 0.99])
        margin = 0.15 * (high - low) or np.ptp(values)
        axes.set_ylim(low - margin, high + margin)
