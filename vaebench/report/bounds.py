"""Bounds on the likelihood against their number of draws, and what AIS adds to them."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from vaebench.runs import schema
from vaebench.runs.numbers import NONE, Numbers
from vaebench.runs.schema import MetricRecord, Record

_LONGEST = 64


class Bounds(NamedTuple):
    """Bounds of one row on the same items, nats an item.

    Attributes:
        values: L_K by number of draws K, a column for each seed.
        elbo: The ELBO, mean over seeds.
        log_px: log p(x) by AIS, mean over seeds; NaN where there is none.
        se: Its standard error: of the sampler, and of what AIS did not see of the
            images.
        images: How many images the bounds are means over, the first of the test set.
        annealed: How many of them AIS saw.
    """

    values: pd.DataFrame
    elbo: float
    log_px: float
    se: float
    images: int
    annealed: int


class _Seed(NamedTuple):
    curve: dict[int, float]
    elbo: float
    log_px: float
    se: float
    images: int
    annealed: int


def bounds(
    cells: Sequence[str], images: Mapping[str, Numbers], records: Mapping[str, Record]
) -> Bounds | None:
    """The bounds of a row; None where there are not two of them.

    Args:
        cells: The row's.
        images: By cell, the values of each test item.
        records: The cells by name.
    """
    seeds = (_seed(images.get(cell, NONE), records[cell]["metrics"]) for cell in cells)
    found = [seed for seed in seeds if seed]
    if not found:
        return None
    values = pd.DataFrame([seed.curve for seed in found]).T.dropna().sort_index()
    squares = [seed.se**2 for seed in found if not math.isnan(seed.se)]
    return Bounds(
        values,
        float(np.mean([seed.elbo for seed in found])),
        float(np.mean([seed.log_px for seed in found])),
        math.sqrt(np.sum(squares)) / len(squares) if squares else math.nan,
        found[0].images,
        found[0].annealed,
    )


def _seed(images: Numbers, metrics: Mapping[str, MetricRecord]) -> _Seed | None:
    """One cell's bounds on the images of its largest K."""
    known = {name: metric for name, metric in metrics.items() if name in images}
    bounds = {m["k"]: name for name, m in known.items() if m["role"] == "bound" and m["k"]}
    elbos = [name for name, metric in known.items() if metric["role"] == "elbo"]
    if not bounds or not elbos:
        return None
    k, name = max(bounds.items())
    own = ~np.isnan(images[name])
    bound = images[name][own]
    elbo, last = _mean(images[elbos[0]][own]), _mean(bound)
    curve = {1: elbo, k: last} | _curve(known[name])
    estimates = [each for each, metric in known.items() if metric["role"] == "likelihood"]
    for each in estimates[:1]:
        gaps = images[each][own] - bound
        gaps = gaps[~np.isnan(gaps)]
        if len(gaps):
            log_px, se = _annealed(gaps, bound, known[each])
            return _Seed(curve, elbo, log_px, se, len(bound), len(gaps))
    return _Seed(curve, elbo, math.nan, math.nan, len(bound), 0)


def _mean(values: np.ndarray) -> float:
    """The mean of those that there are; NaN without any."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else math.nan


def _curve(metric: MetricRecord) -> dict[int, float]:
    """What the metric keeps of smaller K."""
    kept = metric["detail"].get("curve")
    if kept is None or len(kept["k"]) > _LONGEST:
        return {}
    pairs = zip(kept["k"], kept["bound"], strict=False)
    return {k: bound for k, bound in pairs if bound is not None and k >= 1}


def _annealed(gaps: np.ndarray, bound: np.ndarray, metric: MetricRecord) -> tuple[float, float]:
    """log p(x) of the images and its standard error.

    AIS may have seen some of them only: its mean gap to the bound there is added to the bound.
    """
    unseen = 1 - len(gaps) / len(bound)
    sampler = schema.number(metric["depends"].get("sampler_se")) or 0.0
    of_images = gaps.std(ddof=1) ** 2 / len(gaps) * unseen if len(gaps) > 1 and unseen else 0.0
    return float(bound.mean() + gaps.mean()), math.sqrt(sampler**2 + of_images)
