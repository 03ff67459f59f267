"""The plot of bounds on the likelihood against their number of draws, with the AIS bracket."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vaebench.report.bounds import Bounds
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import blank, tagged


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
