"""The plot of bounds on the likelihood against their number of draws, with the AIS bracket."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank, tagged
from vaebench.report.rows import Row
from vaebench.runs import frames, schema
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
    curve: pd.Series
    elbo: float
    log_px: float
    se: float
    images: int
    annealed: int


def bounds(run: str, row: Row, records: Mapping[str, Record]) -> Bounds | None:
    """The bounds of a row; None where there are not two of them."""
    found = [seed for cell in row.cells if (seed := _seed(run, cell, records[cell]["metrics"]))]
    if not found:
        return None
    values = pd.concat([seed.curve for seed in found], axis=1).dropna().sort_index()
    squares = [seed.se**2 for seed in found if not math.isnan(seed.se)]
    return Bounds(
        values,
        float(np.mean([seed.elbo for seed in found])),
        float(np.mean([seed.log_px for seed in found])),
        math.sqrt(np.sum(squares)) / len(squares) if squares else math.nan,
        found[0].images,
        found[0].annealed,
    )


def _seed(run: str, cell: str, metrics: Mapping[str, MetricRecord]) -> _Seed | None:
    """One cell's bounds on the images of its largest K."""
    frame = frames.numbers(run, f"cells/{cell}/per_image.csv", "index")
    known = {name: metric for name, metric in metrics.items() if name in frame}
    bounds = {m["k"]: name for name, m in known.items() if m["role"] == "bound" and m["k"]}
    elbos = [name for name, metric in known.items() if metric["role"] == "elbo"]
    if not bounds or not elbos:
        return None
    k, name = max(bounds.items())
    own = frame[frame[name].notna()]
    elbo, last = own[elbos[0]].mean(), own[name].mean()
    curve = pd.Series({1: elbo, k: last} | _curve(known[name]))
    estimates = [each for each, metric in known.items() if metric["role"] == "likelihood"]
    for each in estimates[:1]:
        if seen := int(own[each].notna().sum()):
            log_px, se = _annealed(own[each], own[name], known[each])
            return _Seed(curve, elbo, log_px, se, len(own), seen)
    return _Seed(curve, elbo, math.nan, math.nan, len(own), 0)


def _curve(metric: MetricRecord) -> dict[int, float]:
    """What the metric keeps of smaller K."""
    kept = metric["detail"].get("curve")
    if kept is None or len(kept["k"]) > _LONGEST:
        return {}
    pairs = zip(kept["k"], kept["bound"], strict=False)
    return {k: bound for k, bound in pairs if bound is not None and k >= 1}


def _annealed(estimates: pd.Series, bound: pd.Series, metric: MetricRecord) -> tuple[float, float]:
    """log p(x) of the images and its standard error.

    AIS may have seen some of them only: its mean gap to the bound there is added to the bound.
    """
    gaps = (estimates - bound).dropna()
    unseen = 1 - len(gaps) / len(bound)
    sampler = schema.number(metric["depends"].get("sampler_se")) or 0.0
    of_images = gaps.std() ** 2 / len(gaps) * unseen if len(gaps) > 1 and unseen else 0.0
    return float(bound.mean() + gaps.mean()), math.sqrt(sampler**2 + of_images)


def text(rows: Sequence[Bounds]) -> str:
    """What the plot of these rows shows, and on which images."""
    images = _either(each.images for each in rows)
    known = [each for each in rows if each.annealed]
    seeds = any(each.values.shape[1] > 1 for each in rows)
    parts = [f"Solid, L_K over {images} test items{', mean over seeds' if seeds else ''}"]
    if seeds:
        parts.append("bands, the range over seeds")
    parts.append("hollow, the ELBO of these items")
    if known:
        parts.append("dashed and at the right end, log p(x) by AIS with ± 2 standard errors")
    said = f"{'; '.join(parts)}."
    if seen := _either(each.annealed for each in known if each.annealed < each.images):
        said += (
            f" AIS saw the first {seen} of them only: its mean excess over L_K there is added to "
            "L_K over all, so that levels differ from those of the table, which are means over "
            f"these {seen}."
        )
    return f"{said} Between line and dashes lies the encoder's loss." if known else said


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(set(numbers))))


def figure(rows: Mapping[str, Bounds], look: Look) -> Figure:
    """L_K against K of each row, on a logarithmic axis that ends in the AIS estimate."""
    found, axes = blank(4.4, 3.4)
    first = min(int(each.values.index[0]) for each in rows.values())
    last = max(int(each.values.index[-1]) for each in rows.values())
    end = last * max(last / first, 2.0) ** 0.12
    for label, each in rows.items():
        colour, k = look.colour(label), each.values.index.to_numpy()
        axes.plot(k, each.values.mean(axis=1), **look.line(label))
        tag = look.tag(label)
        shape: Any = {"color": colour, "marker": look.marker(label), "markersize": 5, "gid": tag}
        if label in look.grey:
            axes.plot(end, each.log_px, **shape | {"markersize": 3, "zorder": 1.5})
            continue
        axes.plot(1, each.elbo, linestyle="none", **shape | {"markerfacecolor": "none"})
        if each.values.shape[1] > 1:
            low, high = each.values.min(axis=1), each.values.max(axis=1)
            axes.fill_between(k, low, high, color=colour, alpha=0.18, linewidth=0, gid=tag)
        if not math.isnan(each.log_px):
            axes.plot([first, end], [each.log_px] * 2, "--", color=colour, linewidth=0.8, gid=tag)
            bar = axes.errorbar(end, each.log_px, yerr=2 * each.se, **shape)
            tagged(bar.get_children(), tag)
    axes.set_xscale("log")
    ticks = _ticks({int(k) for each in rows.values() for k in each.values.index})
    axes.set_xticks([*ticks, end], [*map(str, ticks), "AIS"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("K, draws from q")
    axes.set_ylabel("nats, higher is better")
    return found


def _ticks(ks: Sequence[int] | set[int]) -> list[int]:
    """The powers of ten among K, and its ends."""
    known = sorted(ks)
    inner = [k for k in known if set(str(k)[1:]) <= {"0"} and str(k)[0] == "1"]
    inner = [k for k in inner if k * 3 <= known[-1]]
    return sorted({known[0], *inner, known[-1]})
