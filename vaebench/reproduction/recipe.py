"""A published table as plain data: what to run, what to read off it, and what the paper says.

A recipe is a YAML file. A row of its table is one measure at one point of one line; a point names
the settings of the cells that it needs, so that the runs follow from the rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from vaebench.config.cell import SETTINGS
from vaebench.config.settings import Settings, from_dict
from vaebench.config.yaml_files import read
from vaebench.errors import UserError, unknown

BUDGETS = ("full", "long", "short")
X = int | float | str


@dataclass(frozen=True)
class Measure:
    """A number that the paper gives for each point: ``sign`` · (``column`` - ``minus``) + ``plus``.

    Attributes:
        column: Of a cell's metrics; ``iwae_5000@50`` is the bound's curve at 50 draws.
        unit: What it is counted in.
        sign: -1 where the paper prints the negative.
        minus: Another column to subtract.
        plus: A constant that the paper counts or leaves out.
        within: Half the paper's last digit, or its own spread: a difference that says nothing.
        near: A difference that a part of the paper's training may leave; 0 for none.
        budgets: Where it is measured.
    """

    column: str
    unit: str = ""
    sign: int = 1
    minus: str | None = None
    plus: float = 0.0
    within: float = 0.0
    near: float = 0.0
    budgets: tuple[str, ...] = BUDGETS


@dataclass(frozen=True)
class Point:
    """A model of the table: a position on a line, and the cells that are it.

    Attributes:
        line: The method.
        x: The position.
        settings: What its cells have beyond the recipe's settings; several values where
            `matched` interpolates between them.
        against: Line and position that the paper compares it with.
        matched: A line whose rate (KL) at the same position the cells are interpolated to.
    """

    line: str
    x: X
    settings: Mapping[str, Any]
    against: tuple[str, X] | None = None
    matched: str | None = None


@dataclass(frozen=True)
class Budget:
    """How much of the paper's training is done.

    Attributes:
        says: The schedule in words.
        settings: What differs from the recipe's settings.
        without: Positions that are left out, of all lines, or for each line by its name.
        needs: What it takes.
        share: The part of the paper's decoder passes that are made, where it is known.
    """

    says: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[X, ...] | Mapping[str, Sequence[X]] = ()
    needs: str = ""
    share: float | None = None

    def covers(self, line: str, x: X) -> bool:
        """Whether the point at a position of a line is run."""
        found = self.without
        return x not in (found.get(line, ()) if isinstance(found, Mapping) else found)


@dataclass(frozen=True)
class Recipe:
    """A table to reproduce, from a file in `folder`, where ``published.csv`` lies as well."""

    folder: Path
    name: str
    title: str
    paper: str
    setup: str
    x: str
    settings: Mapping[str, Any]
    measures: Mapping[str, Measure]
    points: tuple[Point, ...]
    budgets: Mapping[str, Budget]
    notes: str = ""

    def __post_init__(self) -> None:
        """Check that every point can be run; UserError if not."""
        for name, budget in self.budgets.items():
            if isinstance(budget.without, Mapping):
                lines = {point.line for point in self.points}
                for line in budget.without.keys() - lines:
                    raise unknown(f"line of {self.name}:", str(line), lines)
            for point in self.points:
                self.cells(point, name)

    def cells(self, point: Point, budget: str) -> Settings:
        """The settings of the cells that a point needs."""
        merged = {**self.settings, **self.budgets[budget].settings, **point.settings}
        return from_dict(merged, f"the recipe {self.name}")

    def planned(self, budget: str) -> list[Point]:
        """The points that the budget covers."""
        return [p for p in self.points if self.budgets[budget].covers(p.line, p.x)]

    def runs(self, budget: str) -> list[Settings]:
        """The fewest runs that hold the cells of all points and no others."""
        found = [self.cells(point, budget) for point in self.planned(budget)]
        for axis in [s.asked for s in SETTINGS if s.axis]:
            found = list(_joined(found, axis))
        return found


def _joined(runs: list[Settings], axis: str) -> Iterator[Settings]:
    """Runs that differ in one axis alone, as one run."""
    values: dict[tuple[Any, ...], dict[Any, None]] = {}
    names = [s.asked for s in SETTINGS]
    for run in runs:
        rest = tuple(getattr(run, name) for name in names if name != axis)
        values.setdefault(rest, {}).update(dict.fromkeys(getattr(run, axis)))
    for rest, found in values.items():
        given: dict[str, Any] = dict(zip([n for n in names if n != axis], rest, strict=True))
        yield Settings(**given | {axis: tuple(found)})


def folder() -> Path:
    """Where the recipes lie that come with vaebench."""
    return Path(str(files("vaebench_recipes")))


def names() -> list[str]:
    """The recipes that come with vaebench."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def load(name: str) -> Recipe:
    """The recipe of that name, or in the file of that path.

    Raises:
        UserError: There is none, or the file says something that cannot be understood.
    """
    path = Path(name)
    if name in names():
        path = folder() / f"{name}.yaml"
    elif path.suffix not in (".yaml", ".yml"):
        if path.suffix or len(path.parts) > 1:
            raise UserError(
                f"{name} is neither a recipe nor a YAML file; `vaebench reproduce --list` shows "
                "the recipes."
            )
        raise unknown("recipe", name, names())
    given, _ = read(path, "The recipe")
    try:
        return _recipe(path, given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} is not a recipe: {problem}; see those in {folder()}.") from error


def _recipe(path: Path, given: dict[str, Any]) -> Recipe:
    points = [
        _point(line, x, {k: v for k, v in said.items() if k != "points"} | (own or {}))
        for line, said in given.pop("lines").items()
        for x, own in said["points"].items()
    ]
    measures = {key: _make(Measure, said) for key, said in given.pop("measures").items()}
    budgets = {key: _make(Budget, said) for key, said in given.pop("budgets").items()}
    for budget in budgets:
        if budget not in BUDGETS:
            raise unknown("budget", budget, BUDGETS)
    made = {"measures": measures, "points": tuple(points), "budgets": budgets}
    return _make(Recipe, given | made | {"folder": path.parent, "name": path.stem})


def _point(line: str, x: X, given: dict[str, Any]) -> Point:
    against, matched = given.pop("against", None), given.pop("matched", None)
    if against is not None:
        against = (against.get("line", line), against.get("x", x))
        against = None if against == (line, x) else against
    return Point(line, x, given, against, matched)


T = TypeVar("T")


def _make(kind: type[T], given: dict[str, Any]) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    for key in given.keys() - known:
        raise unknown("key of a recipe", str(key), known)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
