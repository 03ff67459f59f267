"""How variants stand over all data sets and seeds: interquartile means of normalised scores."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vaebench.report.columns import Column
from vaebench.statistics import iqm

TEXT = (
    f"The mean of the middle half of all scores over data sets and seeds. {iqm.REFERENCE} "
    "Intervals are Student's, 95 %, over seeds within data sets, each variant by itself: where "
    "they part what the verdicts above call a tie, the verdicts hold."
)


class Standing(NamedTuple):
    """One metric over all data sets: the interquartile mean of each variant, the best first."""

    column: Column
    means: dict[str, iqm.Aggregate]


def standing(column: Column, tasks: Sequence[iqm.Task]) -> Standing | None:
    """The standing in a metric with a direction; None where fewer than two variants have one."""
    if column.better is None or not tasks or iqm.lacking(tasks):
        return None
    found = iqm.interquartile_means(tasks, column.better)
    order = sorted(found, key=lambda label: -found[label].mean)
    return Standing(column, {label: found[label] for label in order}) if len(found) > 1 else None


def text(aggregate: iqm.Aggregate) -> str:
    """An interquartile mean with its interval."""
    mean, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in aggregate[:3])
    return f"{mean} [{low}, {high}]"


def standing_rows(found: Sequence[Standing]) -> Iterator[list[str]]:
    """For each variant its label and its interquartile mean in each metric."""
    for label in dict.fromkeys(label for each in found for label in each.means):
        means = (each.means.get(label) for each in found)
        yield [label, *(text(mean) if mean else "" for mean in means)]
