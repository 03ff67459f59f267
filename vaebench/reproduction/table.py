"""The rows of a reproduction: the paper's number, ours with its interval, and an honest verdict."""

import csv
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from vaebench.config.names import alike
from vaebench.errors import UserError
from vaebench.reproduction.recipe import Measure, Point, Recipe, X
from vaebench.runs.schema import Record
from vaebench.statistics.intervals import interval

#: Recipes name the columns of vaebench's own metrics; this one is the rate.
_RATE = "kl"
COLUMNS = ("row", "paper", "measured", "ci_low", "ci_high", "difference", "budget", "verdict")


class Key(NamedTuple):
    """What a row is about."""

    line: str
    x: X
    measure: str


class Published(NamedTuple):
    """A paper's number with its own spread, NaN where it gives none, and where it stands."""

    value: float
    std: float
    source: str


class Row(NamedTuple):
    """A row of the table, with the value of each seed."""

    key: Key
    unit: str
    published: Published | None
    seeds: pd.Series
    verdict: str

    @property
    def measured(self) -> float:
        """The mean over seeds."""
        return float(self.seeds.mean())

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval over seeds, NaN for fewer than two."""
        low, high, _ = interval(self.seeds.to_numpy())
        return low, high


def published(recipe: Recipe) -> dict[tuple[str, str, str], Published]:
    """The paper's numbers, by line, position and measure.

    Raises:
        UserError: ``published.csv`` is missing beside the recipe, or cannot be understood.
    """
    path = recipe.folder / "published.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                (row["line"], row["x"], row["measure"]): Published(
                    float(row["value"]), float(row["std"] or "nan"), row["source"]
                )
                for row in csv.DictReader(file)
                if row["recipe"] == recipe.name
            }
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} must hold the columns recipe, line, x, measure, value, std, source ({error})."
        ) from error


def rows(recipe: Recipe, budget: str, cells: pd.DataFrame) -> list[Row]:
    """The table's rows, in the recipe's order.

    Args:
        recipe: What to read off.
        budget: What was run.
        cells: A row for each finished cell, as `Run.cells` has it, with the columns that
            `readings` adds.
    """
    said = published(recipe)
    values = {
        Key(point.line, point.x, name): _seeds(recipe, budget, point, measure, cells)
        for name, measure in recipe.measures.items()
        if budget in measure.budgets
        for point in recipe.points
    }
    points = {(point.line, point.x): point for point in recipe.points}
    done = {place for place, each in points.items() if len(cells_of(recipe, budget, each, cells))}
    return [
        Row(
            key,
            recipe.measures[key.measure].unit,
            said.get((key.line, str(key.x), key.measure)),
            seeds,
            _verdict(recipe, budget, points[key.line, key.x], key, values, said, key[:2] in done),
        )
        for key, seeds in values.items()
    ]


def readings(recipe: Recipe, record: Record) -> dict[str, float]:
    """What the measures read off a cell's record beyond its columns: points of a bound's curve."""
    found = {}
    for name in [n for m in recipe.measures.values() for n in (m.column, m.minus) if n]:
        column, _, k = name.partition("@")
        if k.isdecimal():
            metric = record["metrics"].get(column)
            curve = metric["detail"].get("curve") if metric else None
            points = dict(zip(curve["k"], curve["bound"], strict=False)) if curve else {}
            bound = points.get(int(k))
            found[name] = np.nan if bound is None else bound
    return found


def _read(cells: pd.DataFrame, measure: Measure) -> pd.Series:
    missing = pd.Series(np.nan, cells.index)
    value = cells.get(measure.column, missing).astype(float)
    if measure.minus is not None:
        value = value - cells.get(measure.minus, missing).astype(float)
    return measure.sign * value + measure.plus


def _seeds(
    recipe: Recipe, budget: str, point: Point, measure: Measure, cells: pd.DataFrame
) -> pd.Series:
    """The measure at a point, a value for each seed."""
    mine = cells_of(recipe, budget, point, cells)
    value = _read(mine, measure)
    if point.matched is None:
        return value.groupby(mine["seed"].astype(int)).mean().dropna()
    partner = next(p for p in recipe.points if (p.line, p.x) == (point.matched, point.x))
    theirs = cells_of(recipe, budget, partner, cells)
    rates = theirs[_RATE].astype(float).groupby(theirs["seed"].astype(int)).mean()
    found = {
        seed: _interpolated(mine.loc[part, _RATE].astype(float), value[part], rates.get(seed))
        for seed, part in mine.groupby(mine["seed"].astype(int)).groups.items()
    }
    return pd.Series(found, dtype=float).dropna()


def _interpolated(rates: pd.Series, values: pd.Series, rate: float | None) -> float:
    """The value at a rate between those measured; NaN outside them."""
    order = np.argsort(rates.to_numpy())
    if rate is None or not rates.min() <= rate <= rates.max():
        return np.nan
    return float(np.interp(rate, rates.to_numpy()[order], values.to_numpy()[order]))


def cells_of(recipe: Recipe, budget: str, point: Point, cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that a point is about."""
    wanted = recipe.cells(point, budget)
    chosen = pd.Series(recipe.budgets[budget].covers(point.line, point.x), cells.index)
    for name in ("plugin", *point.settings):
        values = getattr(wanted, "plugins" if name == "plugin" else name, ())
        if name != "plugins":
            there = cells[name].map(str)
            meant = [each for each in set(there) if any(alike(each, str(v)) for v in values)]
            chosen &= there.isin(meant)
    return cells[chosen]


def _agrees(seeds: pd.Series, paper: float, within: float) -> bool:
    """Whether the paper's number is as near as `within`, or in an interval not wider than 4 of it.

    An interval that is wider holds many numbers and confirms none.
    """
    low, high, _ = interval(seeds.to_numpy())
    telling = not within or high - low <= 4 * within
    return abs(seeds.mean() - paper) <= within or (telling and low <= paper <= high)


def _verdict(
    recipe: Recipe,
    budget: str,
    point: Point,
    key: Key,
    values: Mapping[Key, pd.Series],
    said: Mapping[tuple[str, str, str], Published],
    finished: bool,
) -> str:
    def number(line: str, x: X) -> float:
        found = said.get((line, str(x), key.measure))
        return found.value if found else np.nan

    seeds, paper, plan = values[key], number(key.line, key.x), recipe.budgets[budget]
    if not len(seeds):
        if finished:
            return "not measured: no cell gives a number"
        if plan.covers(key.line, key.x):
            return f"not run: {plan.needs or 'no cell has finished'}"
        others = [n for n, each in recipe.budgets.items() if each.covers(key.line, key.x)]
        return f"not run: in the {' and '.join(others)} budget{'s' * (len(others) > 1)} only"
    if np.isnan(paper):
        return "no published number"
    measure = recipe.measures[key.measure]
    if _agrees(seeds, paper, measure.within):
        return "reproduced"
    gap = abs(seeds.mean() - paper)
    if plan.share is not None and gap <= measure.near:
        return (
            f"reproduced within {gap:.2g} {measure.unit} at {100 * plan.share:.2g} % of the "
            "paper's passes"
        )
    if measure.minus is not None:
        gaps, claimed, where = seeds, paper, "zero"
    elif point.against is not None:
        gaps = (seeds - values[Key(*point.against, key.measure)]).dropna()
        claimed = paper - number(*point.against)
        where = ", ".join(
            [point.against[0], f"{recipe.x} = {point.against[1]}"][: 1 + bool(recipe.x)]
        )
    else:
        return "not reproduced: another value, and no row to see a direction by"
    low, high, _ = interval(gaps.to_numpy())
    if np.isnan(claimed):
        return f"not reproduced: another value, and no published one of {where}"
    if not len(gaps):
        return f"not reproduced: another value, and no measured one of {where}"
    if len(gaps) < 2:
        return f"not reproduced: no second seed to tell it from {where}"
    if not (low > 0 or high < 0):
        return f"not reproduced: not told from {where}"
    if (gaps.mean() > 0) != (claimed > 0):
        return f"not reproduced: on the other side of {where}"
    if budget == "full":
        return f"not reproduced: the same side of {where}, another value"
    return f"reproduced in direction ({budget} budget)"


def frame(recipe: Recipe, budget: str, found: list[Row]) -> pd.DataFrame:
    """The table, with the columns of `COLUMNS`; empty where there is no number."""
    lines = []
    for row in found:
        paper = row.published.value if row.published else np.nan
        place = f", {recipe.x} = {row.key.x}" if recipe.x else ""
        low, high = row.bounds
        unit = f" ({row.unit})" if row.unit else ""
        lines.append(
            (
                f"{row.key.line}{place}: {row.key.measure}{unit}",
                *(paper, row.measured, low, high, row.measured - paper),
                *(budget, row.verdict),
            )
        )
    return pd.DataFrame(lines, columns=list(COLUMNS))
