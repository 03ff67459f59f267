"""Plots that take a likelihood apart: bounds against their number of draws, KL by dimension."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaebench import results, store
from vaebench.report.plots import Look, blank
from vaebench.report.rows import Row

_MOST_DIMENSIONS = 512
_AIS = "log_likelihood_ais"


def figures(
    run: str, rows: Sequence[Row], records: Mapping[str, dict[str, Any]], look: Look
) -> Iterator[tuple[str, str, Figure]]:
    """Each plot that the rows have data for: heading, explanation, figure."""
    bounds = {row.label: _bounds(run, row, records) for row in rows if row.entries}
    bounds = {label: found for label, found in bounds.items() if len(found.points) > 1}
    if bounds:
        text = (
            "Lower bounds on the same images; dashed, log p(x) by AIS with twice the sampler's "
            "error. What is left between them is the encoder's loss."
        )
        yield "Bounds against K", text, _bound_figure(bounds, look)
    spectra = {row.label: _spectrum(row, records) for row in rows if row.entries}
    spectra = {label: values for label, values in spectra.items() if len(values) > 1}
    if spectra:
        text = "Sorted; dimensions near zero carry nothing. Only posteriors that factorise."
        yield "KL by dimension", text, _spectrum_figure(spectra, look)


class _Bounds:
    """Points (K, nats) and the AIS estimate with its margin of one row, mean over seeds."""

    def __init__(self, points: dict[int, float], ais: float, margin: float) -> None:
        self.points, self.ais, self.margin = points, ais, margin


def _bounds(run: str, row: Row, records: Mapping[str, dict[str, Any]]) -> _Bounds:
    """Every bound on the images that AIS had too, since images differ more than bounds do."""
    seeds: list[pd.Series] = []
    margins = []
    for cell in row.cells:
        metrics = records[cell]["metrics"]
        frame = results.numbers(run, f"cells/{cell}/per_image.csv", "index")
        names = {"elbo": 1} | {
            str(name): int(match[1])
            for name in frame
            if (match := re.fullmatch(r"iwae_(\d+)", str(name)))
        }
        names = {name: k for name, k in names.items() if name in frame}
        if _AIS in frame and names:
            some = frame[[*names, _AIS]].dropna()
            seeds.append(some.mean().rename({**names, _AIS: 0}))
            depends = metrics.get(_AIS, {}).get("depends", {})
            margins.append(2 * (store.number(depends.get("sampler_se")) or 0.0))
    if not seeds:
        return _Bounds({}, math.nan, math.nan)
    mean = pd.concat(seeds, axis=1).mean(axis=1).dropna()
    points = {int(k): float(mean[k]) for k in sorted(mean.index) if k}
    return _Bounds(points, float(mean.get(0, math.nan)), max(margins))


def _bound_figure(bounds: Mapping[str, _Bounds], look: Look) -> Figure:
    figure, axes = blank(4.4, 3.4)
    last = max(max(found.points) for found in bounds.values())
    for label, found in bounds.items():
        colour = look.colour(label)
        axes.plot(
            list(found.points), list(found.points.values()), color=colour,
            marker=look.marker(label), markersize=5,
        )  # fmt: skip
        axes.plot([1, last], [found.ais, found.ais], "--", color=colour, linewidth=1)
        axes.fill_between(
            [1, last], found.ais - found.margin, found.ais + found.margin,
            color=colour, alpha=0.15, linewidth=0,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    ticks = sorted({k for found in bounds.values() for k in found.points})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set_xlabel("K, draws from q")
    axes.set_ylabel("nats per image, higher is better")
    return figure


def _spectrum(row: Row, records: Mapping[str, dict[str, Any]]) -> np.ndarray:
    """KL of each dimension (D,), the largest first, mean over seeds; empty where unknown."""
    found = []
    for cell in row.cells:
        metric = records[cell]["metrics"].get("kl", {})
        values = metric.get("detail", {}).get("per_dimension")
        if isinstance(values, list) and 0 < len(values) <= _MOST_DIMENSIONS:
            numbers = [store.number(value) for value in values]
            known = [number for number in numbers if number is not None]
            if len(known) == len(values):
                found.append(sorted(known, reverse=True))
    if not found or len({len(each) for each in found}) > 1:
        return np.zeros(0)
    return np.mean(found, axis=0)


def _spectrum_figure(spectra: Mapping[str, np.ndarray], look: Look) -> Figure:
    figure, axes = blank(4.4, 3.4)
    for label, values in spectra.items():
        axes.plot(
            np.arange(1, len(values) + 1), values, color=look.colour(label),
            marker=look.marker(label), markersize=4,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("latent dimension, sorted")
    axes.set_ylabel("KL (nats per image)")
    return figure
