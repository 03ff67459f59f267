"""What a table says, ready for any way of showing it: blocks of rows that may be compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from vaebench.config.cell import EFFORT, QUICK
from vaebench.config.effort import USUAL, chosen
from vaebench.config.names import shown
from vaebench.report.bounds import Bounds, bounds
from vaebench.report.cautions import Caution, cautions
from vaebench.report.columns import Column, fixed, headlines, make_columns
from vaebench.report.rows import Notes, Row, make_row
from vaebench.runs import frames, numbers, schema
from vaebench.runs.numbers import Numbers
from vaebench.runs.run import Run
from vaebench.runs.schema import MetricRecord, Record
from vaebench.statistics.comparisons import Verdict, pairwise, verdict
from vaebench.statistics.intervals import Difference, Score, sampled

#: What a mean in nats may be of.
_ITEMS = ("image", "sequence", "set")
#: Of so many rows at most each pair is compared.
_MATRIX = 24


@dataclass(frozen=True)
class Block:
    """Rows that may be compared: all settings are equal but the variant and the seed.

    `verdicts` are by column; so are `pairs`, the differences of the first row to the second, and
    `images`, which test images a mean of nats is over. Rows with `cautions` enter no verdict on the
    columns that these concern; `wholes` are those with all rows, for plots that are asked for.
    `bounds` are those on the likelihood by number of draws, of the rows that have some.
    """

    settings: dict[str, Any]
    rows: list[Row]
    references: dict[str, str]
    verdicts: dict[str, Verdict]
    pairs: dict[str, dict[tuple[str, str], Difference]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    cautions: list[Caution] = field(default_factory=list)
    wholes: dict[str, Verdict] = field(default_factory=dict)
    bounds: dict[str, Bounds] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """The largest number of finished seeds of a row."""
        return max((row.seeds for row in self.rows), default=0)

    @property
    def tuned(self) -> bool:
        """Whether some of the rows have settings that were tuned."""
        return any(row.tuning for row in self.rows)


@dataclass(frozen=True)
class Sheet:
    """The table of one data set."""

    dataset: str
    columns: list[Column]
    blocks: list[Block]
    notes: list[str]
    varying: list[str] = field(default_factory=list)

    def title(self, block: Block) -> str:
        """The settings that set a block apart from the others."""
        return ", ".join(
            f"{name.replace('_', ' ')} {shown(block.settings[name])}" for name in self.varying
        )


def sheets(run: Run, digits: int | None = None) -> list[Sheet]:
    """The tables of a run: one for each data set.

    Args:
        run: The run.
        digits: Decimals of all columns, see `columns.fixed`; by default as the errors allow.
    """
    cells = run.cells
    datasets: dict[tuple[str, str], list[tuple[dict[str, Any], pd.DataFrame]]] = {}
    for settings, part in frames.groups(cells):
        key = (str(settings.get("dataset")), str(part.iloc[0]["data_hash"]))
        datasets.setdefault(key, []).append((settings, part))
    return [
        _sheet(dataset, groups, run, digits)
        for (dataset, _), groups in sorted(datasets.items(), key=lambda item: item[0])
    ]


def _sheet(
    dataset: str,
    groups: list[tuple[dict[str, Any], pd.DataFrame]],
    run: Run,
    digits: int | None,
) -> Sheet:
    attrs, records = run.cells.attrs, run.records
    done = pd.concat([part for _, part in groups]).query("status == 'done'")
    columns = list(make_columns(done, attrs["metrics"], [records[cell] for cell in done["cell"]]))
    if digits is not None:
        columns = [fixed(column, done, digits) for column in columns]
    aside = ("plugin", "dataset", "data_hash", *attrs["apart"])
    names = [n for n in groups[0][0] if n not in aside]
    blocks: dict[tuple[str, ...], list[tuple[dict[str, Any], pd.DataFrame]]] = {}
    for settings, part in groups:
        blocks.setdefault(tuple(str(settings[n]) for n in names), []).append((settings, part))
    notes = Notes()
    common = [_common(column, done, notes, records) for column in columns]
    ordered = sorted(blocks.values(), key=lambda rows: [_place(rows[0][0][n]) for n in names])
    made = [_block(rows, common, notes, run) for rows in ordered]
    return Sheet(dataset, common, made, notes.texts, _distinguishing(names, list(blocks)))


def _place(setting: Any) -> tuple[bool, float, str]:
    """Where a setting's value stands among others: numbers by their size, texts behind them."""
    number = isinstance(setting, Real) and not math.isnan(setting)
    return not number, float(setting) if number else 0.0, str(setting)


def _distinguishing(names: list[str], keys: list[tuple[str, ...]]) -> list[str]:
    """The settings that tell keys apart, leaving out those that follow from earlier ones."""
    chosen: list[int] = []
    for i in range(len(names)):
        if len({tuple(key[j] for j in (*chosen, i)) for key in keys}) > len(
            {tuple(key[j] for j in chosen) for key in keys}
        ):
            chosen.append(i)
    return [names[i] for i in chosen]


def _common(
    column: Column, done: pd.DataFrame, notes: Notes, records: Mapping[str, Record]
) -> Column:
    """The column with footnotes: a warning that all cells share, and efforts that they do not."""
    found = [records[cell]["metrics"].get(column.name) for cell in done["cell"]]
    warnings = {metric["warning"] for metric in found if metric and metric["value"] is not None}
    shared = [text for text in warnings if text and len(warnings) == 1]
    there = [metric for metric in found if metric and metric["value"] is not None]
    shared += [*_unlike(there), *(_quick(there) or _chosen(column, done, records))]
    return replace(column, notes=tuple(notes(text) for text in shared))


def _unlike(metrics: Sequence[MetricRecord]) -> list[str]:
    """That numbers of a column were not measured with the same effort, if so."""
    spent = {
        name: {str(metric["depends"].get(name)) for metric in metrics}
        for name in (*EFFORT, "ais_steps")
        if any(name in metric["depends"] for metric in metrics)
    }
    words = [
        f"{name.replace('_', ' ')} {' or '.join(sorted(values))}"
        for name, values in spent.items()
        if len(values) > 1
    ]
    return [f"not measured alike: {', '.join(words)}"] if words else []


def _chosen(column: Column, done: pd.DataFrame, records: Mapping[str, Record]) -> list[str]:
    """That numbers of a column were measured with the effort that is chosen for large pictures."""
    for cell in done["cell"]:
        data, metric = records[cell]["data"], records[cell]["metrics"].get(column.name)
        effort = chosen(data.get("shape"), data.get("train"))
        spent = metric["depends"] if metric and metric["value"] is not None else {}
        if effort != USUAL and all(spent.get(name) == effort[name] for name in effort):
            return [
                f"measured on {effort['ais_images']} images with at most {effort['ais_budget']} "
                "gradients for each, as is chosen for large pictures so that evaluation takes no "
                "longer than training; --ais-images and --ais-budget ask for more"
            ]
    return []


def _quick(metrics: Sequence[MetricRecord]) -> list[str]:
    """That numbers of a column were measured with the effort of a first look, if so."""
    words = []
    for name, most in QUICK.items():
        spent = [schema.number(m["depends"].get(name)) or math.inf for m in metrics]
        if min(spent, default=math.inf) <= most:
            words.append(f"{name.replace('_', ' ')} {min(spent):.0f}")
    return [f"a first look, measured with little effort: {', '.join(words)}"] if words else []


def _block(
    groups: list[tuple[dict[str, Any], pd.DataFrame]],
    columns: list[Column],
    notes: Notes,
    run: Run,
) -> Block:
    records = run.records
    done = {frames.label(s, part): part[part["status"] == "done"] for s, part in groups}
    cells = [cell for part in done.values() for cell in part["cell"]]
    images = numbers.read(run.folder, cells, "per_image.csv", "index")
    rank = _ranks(done, columns)
    done = dict(sorted(done.items(), key=lambda item: rank[item[0]]))
    verdicts, wholes, pairs = {}, {}, {}
    chosen = {column.name for column in headlines(columns)} if len(groups) <= _MATRIX else ()
    doubts = cautions(done, columns, run.epochs, records)
    for column in columns:
        out = {doubt.label for doubt in doubts if doubt.concerns(column.name)}
        if column.better is None:
            continue
        seeds = {label: scores(part, column.name, images) for label, part in done.items()}
        every = {label: sampled(row) for label, row in seeds.items() if row}
        rows = {label: row for label, row in every.items() if label not in out}
        found = verdict(rows, column.better)
        whole = found if len(rows) == len(every) else verdict(every, column.better)
        if whole:
            wholes[column.name] = whole
        if found:
            verdicts[column.name] = found
            if column.name in chosen and len(rows) > 2:
                pairs[column.name] = pairwise(rows)
    made = []
    for label, part in sorted(
        ((frames.label(*group), group[1]) for group in groups), key=lambda row: rank[row[0]]
    ):
        against = [each.kind for each in doubts if each.label == label and each.columns is None]
        made.append(make_row(label, part, columns, verdicts, notes, records, against))
    mine = [records[cell] for cell in cells]
    images_of = {column.name: _images(column, mine) for column in columns}
    known = {row.label: bounds(row.cells, images, records) for row in made if row.entries}
    apart = groups[0][1].attrs["apart"]
    return Block(
        {name: value for name, value in groups[0][0].items() if name not in apart},
        made,
        _references(columns, mine),
        verdicts,
        pairs,
        images_of,
        doubts,
        wholes,
        {label: each for label, each in known.items() if each},
    )


def _images(column: Column, records: Sequence[Record]) -> str:
    """Over which test items the means of a column in nats are; empty where that is unknown."""
    unit, _, noun = column.unit.partition("/")
    if unit != "nats" or noun not in _ITEMS:
        return ""
    found = {
        (metric["n"], record["data"].get("test"))
        for record in records
        if (metric := record["metrics"].get(column.name)) and metric["value"] is not None
    }
    counts = sorted({n for n, _ in found if n})
    if not counts:
        return ""
    if len(counts) > 1:
        return f"{counts[0]:.0f} to {counts[-1]:.0f} {noun}s"
    (n,) = counts
    first = "first " if any(total is not None and n < total for _, total in found) else ""
    return f"{first}{n:.0f} {noun}{'' if n == 1 else 's'}"


def _ranks(done: Mapping[str, pd.DataFrame], columns: list[Column]) -> dict[str, tuple[Any, ...]]:
    """The order of the rows: by the first column with a direction, failed ones last."""
    first = next((c for c in columns if c.better), None)
    sign = -1 if first and first.better == "higher" else 1
    ranks = {}
    for label, part in done.items():
        mean = part[first.name].mean() if first else 0.0
        ranks[label] = (part.empty, math.isnan(mean), 0 if math.isnan(mean) else sign * mean, label)
    return ranks


def scores(part: pd.DataFrame, name: str, images: Mapping[str, Numbers]) -> dict[int, Score]:
    """The scores by seed of cells that differ by nothing but it.

    Args:
        part: Finished cells, rows of `Run.cells`.
        name: The metric.
        images: By cell, the values of each test image; taken where their mean is the metric.
    """
    found = {}
    errors = part[f"{name}_se"] if f"{name}_se" in part else [math.nan] * len(part)
    rows = zip(part.index, part["cell"], part["seed"], part[name], errors, strict=True)
    for index, cell, spelled, value, se in rows:
        if math.isnan(value):
            continue
        seed, each = schema.number(spelled), _each(images[cell], name, value)
        key = -1 - int(str(index)) if seed is None else int(seed)
        found[key] = Score(value, None if math.isnan(se) else se, each)
    return found


def _each(images: Numbers, name: str, mean: float) -> pd.Series | None:
    """What a metric is on each test image, None unless that has the mean."""
    if name not in images:
        return None
    values = images[name]
    there = ~np.isnan(values)
    kept = values[there]
    if not len(kept) or not math.isclose(kept.mean(), mean, rel_tol=1e-3):
        return None
    return pd.Series(kept, images.index[there])


def _references(columns: list[Column], records: Sequence[Record]) -> dict[str, str]:
    """What real images score, by column: its reference, or the floor that it depends on."""
    found = {}
    metrics = [record["metrics"] for record in records]
    for column in columns:
        own = [m[column.reference]["value"] for m in metrics if column.reference in m]
        depends = [m[column.name]["depends"] for m in metrics if column.name in m]
        floors = [schema.number(each.get("floor")) for each in depends]
        values = [value for value in own or floors if value is not None]
        if values:
            found[column.name] = column.format(sum(values) / len(values))
    return found
