"""Which metrics a table shows, in which order, with which name and how many digits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pandas as pd

#: The metrics of the main table in their order, with short names.
KEY = {
    "log_likelihood_ais": "log p(x), AIS",
    "elbo": "ELBO",
    "kl": "KL",
    "active_units": "active",
    "fid_*": "FID",
    "rec_fid_*": "rec. FID",
    "sharpness": "sharpness",
    "mse": "MSE",
    "seconds": "training",
}
#: The metrics that are put in words: the first one present of each line.
_HEADLINES = (("log_likelihood_ais", "elbo"), ("fid_",))
_SUFFIX = 12


class _Cost(NamedTuple):
    """A column of costs: the column that holds its target, and why a cell may lack it."""

    title: str
    unit: str
    description: str
    target: str = ""
    missing: str = ""


_COST = {
    "seconds": _Cost("Training time", "s", "Wall time of training one cell, evaluation aside."),
    "seconds_per_epoch": _Cost("Time of an epoch", "s", "Wall time of training, for each epoch."),
    "seconds_to_elbo": _Cost(
        "Time to the ELBO",
        "s",
        "Wall time of training until the ELBO of the validation images first reaches the target, "
        "which three quarters of the cells reach.",
        target="elbo_target",
        missing="not every seed reached the target",
    ),
    "parameters": _Cost("Parameters", "", "Numbers that are learnt, those of the critic included."),
    "decoder_passes": _Cost("Decoder passes", "", "Images that the decoder made in training."),
    "peak_memory": _Cost(
        "Peak memory", "MiB", "Most memory held in training, on the GPU if on one."
    ),
}


@dataclass(frozen=True)
class Column:
    """A metric as a column.

    `digits` is the number of decimals, `features` the network that the metric depends on where
    `short` does not say so, `missing` why a seed may have no value although another
    has one; without it the mean is over the seeds that have one.
    """

    name: str
    short: str
    title: str
    unit: str
    better: str | None
    description: str
    depends: str
    digits: int
    key: bool
    notes: tuple[int, ...] = ()
    missing: str = ""
    features: str = ""

    @property
    def head(self) -> str:
        """The short name with the features, such as ``FID (digits)``."""
        return f"{self.short} ({self.features})" if self.features else self.short

    @property
    def suffix(self) -> str:
        """The unit, where it is short enough to stand beside a number."""
        return self.unit if len(self.unit) <= _SUFFIX else ""

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {"higher": "↑", "lower": "↓"}.get(self.better or "", "")

    def format(self, value: float) -> str:
        """The number as the whole column shows it."""
        return f"{value:.2e}" if abs(value) >= 1e6 else f"{value:.{self.digits}f}"


def headlines(columns: Sequence[Column]) -> list[Column]:
    """The columns that a summary speaks of."""
    keys = [column for column in columns if column.key]
    found = ([c for p in prefixes for c in keys if c.name.startswith(p)] for prefixes in _HEADLINES)
    return [chosen[0] for chosen in found if chosen]


def make_columns(
    done: pd.DataFrame, metrics: Mapping[str, dict[str, Any]], records: list[dict[str, Any]]
) -> Iterator[Column]:
    """The columns of the metrics that any of the cells tried, the key ones first."""
    tried = [name for name in metrics if any(name in record["metrics"] for record in records)]
    rest = [name for name in tried if not name.endswith("_real")]
    extractors = _extractors(tried, records)
    for pattern, short in KEY.items():
        if pattern in _COST:
            yield _cost_column(pattern, short, done)
        found = [name for name in rest if fnmatchcase(name, pattern)]
        matches = [n for n in found if not any(n.startswith(f"{other}_") for other in found)]
        for name in matches:
            rest.remove(name)
            features = _features(name, extractors)
            metric = _titled(name, metrics[name], features)
            column = _column(name, short, metric, done, records, key=True)
            yield replace(column, features=features)
    for name in rest:
        metric = _titled(name, metrics[name], _features(name, extractors))
        yield _column(name, metric["title"], metric, done, records, key=False)
    for name in _COST:
        if name not in KEY and done[name].notna().any():
            yield _cost_column(name, _COST[name].title, done)


def _extractors(names: Sequence[str], records: list[dict[str, Any]]) -> list[str]:
    """The feature networks that metrics are named by, the longest name first."""
    fids = [name.removeprefix("rec_") for name in names]
    found = {name.split("_")[1] for name in fids if name.startswith("fid_")}
    for record in records:
        for metric in record["metrics"].values():
            found.add(str(metric["depends"].get("features", "")).partition("@")[0])
    return sorted(found - {""}, key=lambda each: (-len(each), each))


def _features(name: str, extractors: Sequence[str]) -> str:
    """The feature network that a metric is named by, or nothing."""
    return next((each for each in extractors if f"_{each}_" in f"{name}_"), "")


def _titled(name: str, metric: Mapping[str, Any], features: str) -> dict[str, Any]:
    """The metric with the title that a table shows."""
    return {**metric, "title": f"{metric['title']} ({features})"} if features else dict(metric)


def _cost_column(name: str, short: str, done: pd.DataFrame) -> Column:
    cost = _COST[name]
    column = _column(name, short, cost._asdict(), done, [], key=name in KEY)
    targets: list[float] = []
    if cost.target in done:
        targets = done[cost.target].dropna().unique().tolist()
    known = " or ".join(f"{target:.2f}" for target in targets) if len(targets) < 4 else ""
    return replace(column, missing=cost.missing, depends=f"target: {known}" if known else "")


def _column(
    name: str,
    short: str,
    metric: Mapping[str, Any],
    done: pd.DataFrame,
    records: list[dict[str, Any]],
    *,
    key: bool,
) -> Column:
    depends: dict[str, dict[str, None]] = {}
    for record in records:
        for what, value in record["metrics"].get(name, {}).get("depends", {}).items():
            if not isinstance(value, list | dict):
                depends.setdefault(what.replace("_", " "), {})[str(value)] = None
    return Column(
        name=name,
        short=short,
        title=metric["title"],
        unit=metric["unit"],
        better=metric.get("better"),
        description=metric["description"],
        depends="; ".join(
            f"{what}: {' or '.join(values)}" for what, values in depends.items() if len(values) < 4
        ),
        digits=_digits(done[name], done.get(f"{name}_se"), done["seed"].nunique()),
        key=key,
    )


def _digits(values: pd.Series, errors: pd.Series | None, seeds: int) -> int:
    """Decimals for two digits of the typical error (one for values below 1) and no more.

    Values without an error get three digits, whole numbers none (one where seeds are averaged).
    """
    error = errors[errors > 0].median() if errors is not None else math.nan
    size = values[values != 0].abs().median()
    if math.isnan(size):
        return 0
    if math.isnan(error) and (values.dropna() % 1 == 0).all():
        return int(seeds > 1)
    decimals = 2 - math.floor(math.log10(size))
    if not math.isnan(error):
        decimals = min(decimals + 1, int(size >= 1) - math.floor(math.log10(error)))
    return min(max(decimals, 0), 9)
