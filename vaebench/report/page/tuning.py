"""The section of a page about tuning: what it chose, what that was worth, and all trials."""

from typing import Any

from matplotlib.figure import Figure

from vaebench.report.comparison.tuned import Tuned
from vaebench.report.plots.look import Look
from vaebench.report.plots.style import INK, blank, brief, svg
from vaebench.runs.tuning import Tuning, chosen

#: Trials that are so many times further below the best than the middle ones stand at the edge.
_FAR = 3.0


def section(found: Tuned | None, trials: Tuning | None, look: Look) -> dict[str, Any] | None:
    """What a page shows of a tuning; None without one."""
    if found is None or trials is None:
        return None
    drawn = trials_drawn(trials, look)
    words = f"The criterion of every complete trial: {found.criterion}."
    return {
        "found": found,
        "svg": svg(drawn, words, "tuning") if drawn else None,
        "words": "Every complete trial by its criterion; the ring is the default, the filled mark "
        "what was chosen, and an arrow a trial beyond the edge.",
    }


def trials_drawn(found: Tuning, look: Look) -> Figure | None:
    """The criterion of each complete trial, a line for each variant."""
    values = {
        name: {
            number: trial["value"]
            for number, trial in enumerate(search["trials"])
            if trial["state"] == "complete" and trial["value"] is not None
        }
        for name, search in found["variants"].items()
    }
    values = {name: some for name, some in values.items() if some}
    if not values:
        return None
    every = sorted(value for some in values.values() for value in some.values())
    best, middle = every[-1], every[len(every) // 2]
    floor = max(every[0], best - _FAR * (best - middle)) if best > middle else every[0]
    figure, axes = blank(5.0, 0.8 + 0.3 * len(values))
    for y, (name, some) in enumerate(values.items()):
        colour = look.colour(name) if name in look.labels else INK
        taken = chosen(found["variants"][name])
        for number, value in some.items():
            mark: dict[str, Any] = {"marker": "o" if value >= floor else "<", "color": colour}
            if number == taken:
                mark |= {"markersize": 8, "zorder": 3}
            elif number == 0:
                mark |= {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.6}
            else:
                mark |= {"markersize": 4.5, "alpha": 0.45}
            axes.plot(max(value, floor), y, linestyle="none", **mark)
    axes.set_yticks(range(len(values)), [brief(name) for name in values], parse_math=False)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.margins(x=0.04)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    title = f"{found['criterion']['title']} on validation items ({found['criterion']['unit']})"
    axes.set_xlabel(title, parse_math=False)
    return figure
