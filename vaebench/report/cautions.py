"""What is said against rows before anyone is called best: most of it keeps them out of verdicts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from vaebench.report.columns import Column, first, headlines
from vaebench.runs import schema
from vaebench.runs.numbers import Numbers
from vaebench.runs.schema import Record

#: The part of training, at its end, whose rise is looked at.
_END = 5
#: A rise that is a larger share of all that training gained is no convergence.
_RISE = 0.01
#: The same at the time when a learning rate that decays has fallen to half.
_FAST = 0.1
#: Means over fewer images are not compared.
_FEW = 16
#: Rows that a sentence names.
_NAMED = 4
#: Seeds that a stray one needs, and how many times their range it is away from the next.
_SIBLINGS, _STRAY = 3, 5


class Caution(NamedTuple):
    """Why a row is left out of verdicts, or to be looked at.

    Attributes:
        label: The row.
        kind: What the rows with this trouble have in common, as the beginning of a sentence.
        text: The figures of this row.
        columns: Names of the columns that it concerns; None for all.
    """

    label: str
    kind: str
    text: str
    columns: tuple[str, ...] | None = None

    def concerns(self, column: str) -> bool:
        """Whether a verdict on this column must not rest on the row."""
        return self.columns is None or column in self.columns


def cautions(
    rows: Mapping[str, pd.DataFrame],
    columns: Sequence[Column],
    histories: Mapping[str, Numbers],
    records: Mapping[str, Record],
) -> list[Caution]:
    """What is to be said against the rows of a block.

    Args:
        rows: Finished cells by label, as in `Run.cells`.
        columns: The columns of the table.
        histories: Theirs.
        records: The cells by name.
    """
    found = []
    for label, part in rows.items():
        cells = [records[cell] for cell in part["cell"]]
        found += [
            *_unfinished(label, histories, cells),
            *_collapsed(label, part),
            *_doubted(label, columns, cells),
            *_like_noise(label, columns, part),
        ]
    networks = {
        label: {records[cell]["variant"].get("networks", "") for cell in part["cell"]}
        for label, part in rows.items()
    }
    return [*found, *_own_networks(networks), *_loose(rows, columns), *_strays(rows, columns)]


def sentences(found: Sequence[Caution]) -> list[str]:
    """One sentence for each kind of caution, with the rows and their figures."""
    kinds: dict[str, list[str]] = {}
    for each in found:
        kinds.setdefault(each.kind, []).append(f"{each.label} ({each.text})")
    return [f"{kind}: {_some(rows)}." for kind, rows in kinds.items()]


def _some(rows: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(rows) - _NAMED
    return ", ".join(rows[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _own_networks(networks: Mapping[str, set[str]]) -> Iterator[Caution]:
    """Rows with networks of their own, unless all rows have the same ones.

    What sets them apart from others is of networks and method together.
    """
    if len(set[str]().union(*networks.values())) < 2:
        return
    for label, names in networks.items():
        if own := next(filter(None, names), ""):
            yield Caution(
                label,
                "Networks of its own: differences to rows with others are of networks and method "
                "together, and enter no verdict",
                own,
            )


def _unfinished(
    label: str, histories: Mapping[str, Numbers], cells: Sequence[Record]
) -> Iterator[Caution]:
    """That the objective of the validation images still rises in one of the cells."""
    known = [(histories[record["cell"]], record) for record in cells]
    rises = [rise for history, record in known if (rise := _rise(history, record))]
    hurried = [rise for history, _ in known if (rise := _hurried(history))]
    if hurried and not rises:
        nats, share, epochs, total = max(hurried, key=lambda rise: rise.share)
        yield Caution(
            label,
            "Not converged when the learning rate was lowered, and left out of verdicts",
            f"+{nats:.2g} nats in {epochs} of {total} epochs, {share:.0%} of all it gained",
        )
    if rises:
        nats, share, epochs, total = max(rises, key=lambda rise: rise.share)
        yield Caution(
            label,
            "Not converged, and left out of verdicts",
            f"+{nats:.2g} nats in the last {epochs} of {total} epochs, {share:.0%} of all it gained"
            if total > 1
            else "one epoch of training",
        )


def _hurried(history: Numbers) -> "_Rise | None":
    """How much the objective rose before the learning rate fell below half; None if not much.

    At the end of a schedule that decays to nothing the objective is level whatever was learnt.
    """
    if not ("valid_objective" in history and "lr" in history):
        return None
    values, rates = history["valid_objective"], history["lr"]
    known = ~np.isnan(values + rates)
    values, rates = values[known], rates[known]
    if len(values) < 2 or rates[-1] >= rates.max() / 2 or rates.max() <= 0:
        return None
    half = int(np.flatnonzero(rates >= rates.max() / 2)[-1]) + 1
    end = values[max(0, half - max(3, len(values) // _END)) : half]
    if len(end) < 3:
        return None
    nats, sure = _slope(end)
    gained = float(values.max() - values[0])
    return _Rise(nats, nats / gained, len(end), len(history)) if sure > _FAST * gained > 0 else None


def _slope(values: np.ndarray) -> tuple[float, float]:
    """What a line through values (N,) gains from the first to the last, and gains surely."""
    last = len(values) - 1
    at = np.arange(len(values)) - last / 2
    rest = values - values.mean()
    squares = float(at @ at)
    slope = float(at @ rest) / squares
    rest = rest - slope * at
    error = math.sqrt(float(rest @ rest) / max(1, last - 1) / squares)
    return slope * last, (slope - 2 * error) * last


def _collapsed(label: str, part: pd.DataFrame) -> Iterator[Caution]:
    """That the code says nothing of its input."""
    active = part.get("active_units", pd.Series(dtype=float)).dropna()
    if len(active) and active.max() == 0:
        kl = part.get("kl", pd.Series(dtype=float)).mean()
        text = "no unit is active" + ("" if math.isnan(kl) else f", KL {kl:.2g} nats")
        yield Caution(label, "The code says next to nothing of its input", text, ())


class _Rise(NamedTuple):
    nats: float
    share: float
    epochs: int
    total: int


def _rise(history: Numbers, record: Record) -> _Rise | None:
    """How much the objective rose at the end of training; None where it had levelled off."""
    if "valid_objective" not in history:
        return None
    warmup = schema.number(record["config"].get("kl_warmup")) or 0.0
    values = history["valid_objective"][history.index > warmup]
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return _Rise(0.0, 1.0, 1, 1) if len(history) == 1 else None
    end = values[-max(3, len(values) // _END) :]
    nats, sure = _slope(end)
    gained = float(values.max() - values[0])
    if sure <= max(0.0, _RISE * gained):
        return None
    return _Rise(nats, nats / max(gained, nats), len(end), len(history))


def _doubted(label: str, columns: Sequence[Column], cells: Sequence[Record]) -> Iterator[Caution]:
    """Numbers that the metric itself doubts, or that are means over few images."""
    for column in columns:
        found = [m for record in cells if (m := record["metrics"].get(column.name))]
        measured = [metric for metric in found if metric["value"] is not None]
        kind = f"{column.title} is not to be trusted, and no verdict rests on it"
        if not all(metric["trusted"] for metric in measured):
            warnings = [m["warning"] for m in measured if not m["trusted"] and m["warning"]]
            texts = [warning.partition(";")[0].rstrip(".") for warning in warnings]
            yield Caution(label, kind, texts[0] if texts else "see its cell", (column.name,))
        elif column.better and (few := [n for m in measured if (n := m["n"]) and n < _FEW]):
            kind = f"{column.title} rests on too few items for a verdict"
            yield Caution(label, kind, f"{min(few):.0f}", (column.name,))


def _like_noise(label: str, columns: Sequence[Column], part: pd.DataFrame) -> Iterator[Caution]:
    """Samples that are as far from the test images as noise is."""
    for column in (c for c in columns if c.role == "samples"):
        noise = part.get(f"{column.name}_noise", pd.Series(dtype=float))
        value, floor = part[column.name].mean(), noise.mean()
        if value >= floor:
            kind = f"{column.title} is no better than that of noise, and enters no verdict"
            text = f"{column.format(value)} against {column.format(floor)}"
            yield Caution(label, kind, text, (column.name,))


def _strays(rows: Mapping[str, pd.DataFrame], columns: Sequence[Column]) -> Iterator[Caution]:
    """Seeds that are far from their siblings, by the measure of all rows: intervals get wide."""
    for column in headlines(columns):
        found = {
            label: part[["seed", column.name]].dropna().sort_values(column.name)
            for label, part in rows.items()
        }
        found = {label: part for label, part in found.items() if len(part) >= _SIBLINGS}
        usual = float(np.median([np.ptp(part[column.name]) for part in found.values()] or [0.0]))
        for label, part in found.items():
            values = part[column.name].to_numpy()
            for at, rest in ((0, values[1:]), (-1, values[:-1])):
                away = abs(values[at] - rest).min()
                if away > _STRAY * max(np.ptp(rest), usual if len(found) > 1 else 0.0):
                    kind = f"One seed is far from its siblings in {column.title}"
                    low, high = (column.format(value) for value in (rest[0], rest[-1]))
                    text = f"seed {part['seed'].iloc[at]}: {column.format(values[at])}"
                    yield Caution(label, kind, f"{text}, the others {low} to {high}", ())


def _loose(rows: Mapping[str, pd.DataFrame], columns: Sequence[Column]) -> Iterator[Caution]:
    """Bounds that are further below log p(x) than the models are apart in it."""
    likelihood, bound = first(columns, "likelihood"), first(columns, "elbo")
    if likelihood is None or bound is None:
        return
    means = {label: part[[likelihood.name, bound.name]].mean() for label, part in rows.items()}
    both = {label: mean for label, mean in means.items() if mean.notna().all()}
    if len(both) < 2:
        return
    levels = [mean[likelihood.name] for mean in both.values()]
    gaps = {label: mean[likelihood.name] - mean[bound.name] for label, mean in both.items()}
    tightest = max(0.0, min(gaps.values()))
    for label, gap in gaps.items():
        if gap - tightest > max(1.0, max(levels) - min(levels)):
            kind = (
                f"The {bound.title} is further below {likelihood.title} than the models are apart "
                "in it, and says little of the model"
            )
            yield Caution(label, kind, f"by {gap:.2f} nats", (bound.name,))
