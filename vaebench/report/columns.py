"""Which metrics a table shows, in which order, with which name and how many digits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from vaebench.config.metric import Better, Role
from vaebench.runs.schema import MetricRecord, Record

#: What is put in words: of each line the first column of the main table that plays the part.
_HEADLINES: tuple[tuple[Role, ...], ...] = (("likelihood", "elbo"), ("samples",))
_SUFFIX = 12
#: `place` and `keep` of the gaps of inference in a table of posteriors under one frozen decoder.
_GAPS = {"inference_gap": (21, 8), "approximation_gap": (22, 7), "amortisation_gap": (23, 6)}


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """A column of costs, declared like a metric.

    `target` is the column that holds its target, `missing` why a cell may lack it.
    """

    title: str
    unit: str = ""
    description: str
    head: str = ""
    place: int | None = None
    keep: int = 0
    role: Role | None = None
    target: str = ""
    missing: str = ""


_COST = {
    "seconds": _Cost(
        title="Training time",
        unit="s",
        description="Wall time of training one cell, evaluation aside.",
        head="training",
        place=90,
        keep=3,
        role="cost",
    ),
    "seconds_per_epoch": _Cost(
        title="Time of an epoch",
        unit="s",
        description="Wall time of training, for each epoch.",
    ),
    "seconds_to_elbo": _Cost(
        title="Time to the ELBO",
        unit="s",
        description="Wall time of training until the ELBO of the validation images first reaches "
        "the target, which three quarters of the cells reach.",
        target="elbo_target",
        missing="not every seed reached the target",
    ),
    "parameters": _Cost(
        title="Parameters",
        description="Numbers that are learnt, those of critic and rival included.",
    ),
    "decoder_passes": _Cost(
        title="Decoder passes",
        description="Images that the decoder made in training.",
    ),
    "peak_memory": _Cost(
        title="Peak memory",
        unit="MiB",
        description="Most memory held in training, on the GPU if on one.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric as a column.

    Attributes:
        name: Its name in the frames of a run.
        short: The name at its head.
        symbol: The same as mathematics of LaTeX, where its metric declares that.
        stem: Its name without what it depends on: ``fid`` of ``fid_digits``.
        title: The name in words.
        unit: The unit.
        better: Which way is a merit, if any.
        description: One sentence.
        depends: What the number depends on, in words.
        digits: Decimals.
        place: The order in the main table; None where it is not in there.
        keep: The order in which a narrow terminal gives columns up, the smallest first.
        error: Whether a terminal shows its error.
        role: The part that it plays in sentences and plots.
        reference: The column that says what real images score.
        notes: Numbers of the footnotes of the whole column.
        missing: Why a seed may have no value although another has one; without it the mean is
            over the seeds that have one.
        features: The network that the metric depends on, where `short` does not say so.
        group: What it is about, for menus.
    """

    name: str
    short: str
    title: str
    unit: str
    better: Better | None
    description: str
    depends: str
    digits: int
    place: int | None = None
    keep: int = 0
    error: bool = False
    role: Role | None = None
    reference: str = ""
    notes: tuple[int, ...] = ()
    missing: str = ""
    features: str = ""
    symbol: str = ""
    stem: str = ""
    group: str = "Cost"

    @property
    def key(self) -> bool:
        """Whether it belongs into the main table."""
        return self.place is not None

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
    keys = [column for column in columns if column.key and column.better]
    found = (first(keys, *roles) for roles in _HEADLINES)
    return [column for column in found if column]


def named(name: str, columns: Sequence[Column]) -> list[Column]:
    """The columns that a name may stand for, the one alone where that is clear.

    It is a column's whole name, or that without its features or number of draws (``fid`` for
    ``fid_digits``), or a word in it that no other column has, or no other of the main table
    (``ais`` for ``log_likelihood_ais``).
    """
    whole = [column for column in columns if column.name == name]
    stems = [column for column in columns if column.stem == name]
    words = [column for column in columns if name in column.name.split("_")]
    keys = [column for column in words if column.key]
    return whole or stems or (keys if len(keys) == 1 else words)


def fixed(column: Column, done: pd.DataFrame, digits: int) -> Column:
    """The column with so many decimals, where values are below 1 so many digits.

    Whole numbers stay whole.
    """
    values = done[column.name].dropna()
    size = values[values != 0].abs().median()
    if math.isnan(size) or (values % 1 == 0).all():
        return column
    zeros = -1 - math.floor(math.log10(size)) if size < 1 else 0
    return replace(column, digits=min(digits + zeros, 9))


def first(columns: Sequence[Column], *roles: Role) -> Column | None:
    """The first column that plays the first of the parts that any plays."""
    return next((c for role in roles for c in columns if c.role == role), None)


def make_columns(
    done: pd.DataFrame, metrics: Mapping[str, MetricRecord], records: Sequence[Record]
) -> Iterator[Column]:
    """The columns of the metrics that any of the cells tried, those of the main table first."""
    tried = {n: m for n, m in metrics.items() if any(n in record["metrics"] for record in records)}
    references = {metric["reference"] for metric in tried.values()}
    found = [_metric(n, m, done, records) for n, m in tried.items() if n not in references]
    if records and all(record["config"].get("decoder_of") for record in records):
        found = [_of_posteriors(column) for column in found]
    costs = [_cost(name, done) for name in _COST if _COST[name].place or done[name].notna().any()]
    yield from sorted((c for c in (*found, *costs) if c.key), key=lambda c: c.place or 0)
    yield from (c for c in (*found, *costs) if not c.key)


def _of_posteriors(column: Column) -> Column:
    """The column in a table of one frozen decoder: log p(x) is nobody's merit, a small gap is."""
    if column.role == "likelihood":
        return replace(column, better=None)
    if column.name in _GAPS:
        place, keep = _GAPS[column.name]
        return replace(column, place=place, keep=keep, error=True)
    return column


def _metric(
    name: str, metric: MetricRecord, done: pd.DataFrame, records: Sequence[Record]
) -> Column:
    features = metric["extractor"]
    title = f"{metric['title']} ({features})" if features else metric["title"]
    depends: dict[str, dict[str, None]] = {}
    for record in records:
        found = record["metrics"].get(name)
        for what, value in found["depends"].items() if found else ():
            if not isinstance(value, list | dict):
                depends.setdefault(what.replace("_", " "), {})[str(value)] = None
    return Column(
        name=name,
        short=metric["head"] or title,
        title=title,
        unit=metric["unit"],
        better=metric["better"],
        description=metric["description"],
        depends="; ".join(
            f"{what}: {' or '.join(values)}" for what, values in depends.items() if len(values) < 4
        ),
        digits=_digits(name, done),
        # What no cell has is not of the main table, unless its absence is news.
        place=metric["place"] if metric["role"] or done[name].notna().any() else None,
        keep=metric["keep"],
        error=metric["error"],
        role=metric["role"],
        reference=metric["reference"],
        features=features if metric["head"] else "",
        symbol=metric["symbol"],
        stem=metric["metric"].replace("_{extractor}", "").replace("_{k}", ""),
        group=_group(name, metric),
    )


def _group(name: str, metric: MetricRecord) -> str:
    """What a metric is about, as far as its declaration says."""
    words = metric["title"].lower()
    if metric["role"] == "cost":
        return "Cost"
    if "reconstruction" in words:
        return "Reconstructions"
    if metric["extractor"] or metric["role"] == "samples" or "samples" in words:
        return "Samples"
    return "Likelihood" if metric["unit"].startswith("nats") else "Codes and others"


def _cost(name: str, done: pd.DataFrame) -> Column:
    cost = _COST[name]
    targets: list[float] = []
    if cost.target in done:
        targets = done[cost.target].dropna().unique().tolist()
    known = " or ".join(f"{target:.2f}" for target in targets) if len(targets) < 4 else ""
    return Column(
        name=name,
        short=cost.head or cost.title,
        title=cost.title,
        unit=cost.unit,
        better=None,
        description=cost.description,
        depends=f"target: {known}" if known else "",
        digits=_digits(name, done),
        place=cost.place,
        keep=cost.keep,
        role=cost.role,
        missing=cost.missing,
    )


def _digits(name: str, done: pd.DataFrame) -> int:
    """Decimals for two digits of the typical error (one for values below 1) and no more.

    Values without an error get three digits, whole numbers none (one where seeds are averaged).
    """
    values, errors, seeds = done[name], done.get(f"{name}_se"), done["seed"].nunique()
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
