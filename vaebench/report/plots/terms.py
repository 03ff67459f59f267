"""Plots that take a likelihood apart: bounds by draws, KL by dimension, distortion by level."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaebench.report.plots import bounds
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank
from vaebench.report.rows import Row
from vaebench.report.sheet import Block
from vaebench.runs.schema import Record

_MOST_DIMENSIONS = 512


def figures(
    block: Block, records: Mapping[str, Record], look: Look
) -> Iterator[tuple[str, str, Figure]]:
    """Each plot that a block has data for: heading, explanation, figure."""
    rows = block.rows
    if known := block.bounds:
        yield "Bounds against K", bounds.text(list(known.values())), bounds.figure(known, look)
    spectra = {row.label: _spectrum(row, records) for row in rows if row.entries}
    spectra = {label: values for label, values in spectra.items() if len(values) > 1}
    if spectra:
        text = "Sorted; dimensions near zero carry nothing. Only posteriors that factorise."
        yield "KL by dimension", text, _spectrum_figure(spectra, look)
    curves = {row.label: _levels(row, records) for row in rows if row.entries}
    curves = {label: curve for label, curve in curves.items() if curve.size}
    if curves:
        text = (
            "Distortion when the first 0, 1, … levels of z come from q(z|x) and the rest from the "
            "prior given them, against what these levels cost: lossy compression. Better is down "
            "and to the left; the last point is the ELBO’s two terms."
        )
        yield "Distortion at the rate of the first levels", text, _levels_figure(curves, look)


def _levels(row: Row, records: Mapping[str, Record]) -> np.ndarray:
    """Rate and distortion (2, T + 1) of the first levels, mean over seeds; empty where unknown."""
    found = []
    for cell in row.cells:
        for metric in records[cell]["metrics"].values():
            known = metric["detail"].get("levels")
            if known and 1 < len(known["rate"]) == len(known["distortion"]) <= _MOST_DIMENSIONS:
                found.append([known["rate"], known["distortion"]])
                break
    if not found or len({len(rates) for rates, _ in found}) > 1:
        return np.zeros((2, 0))
    return np.mean(found, axis=0)


def _levels_figure(curves: Mapping[str, np.ndarray], look: Look) -> Figure:
    figure, axes = blank(4.4, 3.4)
    for label, (rate, distortion) in curves.items():
        axes.plot(
            rate, distortion, **look.line(label),
            marker=look.marker(label), markersize=2 if label in look.grey else 5, clip_on=False,
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_xlabel("rate of the levels that are known (nats)")
    axes.set_ylabel("distortion (nats)")
    return figure


def _spectrum(row: Row, records: Mapping[str, Record]) -> np.ndarray:
    """KL of each dimension (D,), the largest first, mean over seeds; empty where unknown."""
    found = []
    for cell in row.cells:
        rates = [m for m in records[cell]["metrics"].values() if m["role"] == "rate"]
        values = rates[0]["detail"].get("per_dimension", []) if rates else []
        if 0 < len(values) <= _MOST_DIMENSIONS:
            found.append(sorted(values, reverse=True))
    if not found or len({len(each) for each in found}) > 1:
        return np.zeros(0)
    return np.mean(found, axis=0)


def _spectrum_figure(spectra: Mapping[str, np.ndarray], look: Look) -> Figure:
    figure, axes = blank(4.4, 3.4)
    for label, values in spectra.items():
        axes.plot(
            np.arange(1, len(values) + 1), values, **look.line(label),
            marker=look.marker(label), markersize=2 if label in look.grey else 4,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("latent dimension, sorted")
    axes.set_ylabel("KL (nats)")
    return figure
