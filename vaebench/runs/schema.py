"""What the record of a cell holds: one declaration for whoever writes it and whoever reads it.

A section that a reader gets has been checked: of the keys below it holds those whose values have
their type. Keys that are not declared here stay as they are, and nobody relies on them.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import cache, reduce
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    TypedDict,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from vaebench.config.metric import Better, Role

SCHEMA = 1
#: Numbers beyond it are taken for no numbers: their squares would be infinite.
HUGE = 1e100
#: What training cost, as columns of a frame.
COST = (
    *("seconds", "seconds_per_epoch", "seconds_to_elbo", "elbo_target"),
    *("parameters", "decoder_passes", "peak_memory"),
)
#: Columns of a frame that are neither settings nor metrics.
FIXED = ("cell", "status", "reason", "data_hash", "tuning", *COST)
Status = Literal["done", "failed", "unfinished"]


class Curve(TypedDict):
    """A bound on log p(x), nats an item, over numbers of draws."""

    k: list[int]
    bound: list[float | None]


class Levels(TypedDict):
    """Rate and distortion, nats an item, with the first 0, 1, … blocks of z from q."""

    blocks: list[str]
    rate: list[float]
    distortion: list[float]


class Detail(TypedDict, total=False):
    """Of what was seen on the way to a number, what plots show; metrics keep more than that.

    `curve` is that of a ``bound``, `per_dimension` the nats of a ``rate`` by latent dimension,
    `levels` what the first blocks of a chain say.
    """

    curve: Curve
    per_dimension: list[float]
    levels: Levels


class MetricRecord(TypedDict):
    """A metric of a cell: what it declares about itself, and what was measured.

    `metric` is its name as declared, `extractor` and `k` what its column is named by beside it;
    `vaebench.Metric` explains the rest of the declaration, and `vaebench.Measurement` the number.
    Without a value there is a reason; `failed` says that another try may find one, since a file was
    missing or the metric's function failed. `depends` has the effort as the settings that say it.
    No verdict rests on a number that is not `trusted`.
    """

    metric: str
    extractor: str
    k: int | None
    title: str
    unit: str
    better: Better | None
    description: str
    head: str
    symbol: str
    place: int | None
    keep: int
    error: bool
    role: Role | None
    reference: str
    value: float | None
    se: float | None
    n: float | None
    depends: dict[str, Any]
    detail: Detail
    reason: str | None
    warning: str | None
    trusted: bool
    failed: bool


class VariantRecord(TypedDict, total=False):
    """The variant, as its plugin declares it; `networks` names those of its own, else empty."""

    name: str
    plugin: str
    package: str
    code: str
    objective: str
    samples: int
    reference: str
    family: str
    description: str
    deviations: dict[str, str]
    penalties: list[str]
    networks: str


class PartRecord(TypedDict):
    """A part of an item: pictures or tokens, their shape and levels, and if they are real."""

    name: str
    kind: str
    shape: list[int]
    levels: int
    real: bool


class DataRecord(TypedDict, total=False):
    """The data set: its hash, the sizes of its splits, shape of an item and levels of its pixels.

    `notes` are sentences on what was read, passed over and converted. `given` says what the images
    are modelled given, `condition` of which shape that is for an image, and `classes` are the
    labels that are given or may be seen in training. `parts` are those of an item, in their order,
    where it has several.
    """

    hash: str
    train: int
    validation: int
    test: int
    shape: list[int]
    levels: int
    notes: list[str]
    given: str
    condition: list[int]
    classes: list[int]
    parts: list[PartRecord]


class TrainRecord(TypedDict, total=False):
    """What training took: seconds, images decoded, MiB held at most, parameters by network.

    `film` has the epochs whose samples ``film.png`` shows.
    """

    film: list[int]
    seconds: float
    epochs: int
    best_epoch: int
    decoder_passes: int
    peak_memory: float | None
    parameters: dict[str, int]


class Record(TypedDict):
    """All that is known of a cell; sections are empty where it has not come so far.

    `config` holds the fields of the `Cell`, `evaluation` those of what has been measured of it,
    `missing` the columns that were asked for and have not been measured, `halted` why;
    `timings` the seconds spent by group of metrics. `transient` says of a failed cell that the
    machine was at fault, `captions` what the lines of a picture show, by the picture's name.
    """

    schema: NotRequired[int]
    cell: str
    status: Status
    reason: str | None
    transient: NotRequired[bool]
    config: dict[str, Any]
    evaluation: dict[str, Any]
    missing: list[str]
    halted: str
    variant: VariantRecord
    data: DataRecord
    metrics: dict[str, MetricRecord]
    train: TrainRecord
    timings: dict[str, float]
    captions: NotRequired[dict[str, list[str]]]
    versions: dict[str, str]
    hardware: dict[str, Any]
    date: str
    files: NotRequired[dict[str, str | list[str]]]
    checksum: NotRequired[str]


def blank(cell: str, status: Status, reason: str | None) -> Record:
    """The record of a cell of which nothing else is known."""
    return {
        "config": {},
        "evaluation": {},
        "missing": [],
        "halted": "",
        "variant": {},
        "data": {},
        "metrics": {},
        "train": {},
        "timings": {},
        "versions": {},
        "hardware": {},
        "cell": cell,
        "status": status,
        "reason": reason,
        "date": "",
    }


T = TypeVar("T")


def known(kind: type[T], found: Mapping[str, Any]) -> T:
    """The entries of `found` but for those that `kind`, a TypedDict, declares another type for."""
    tests = _entries(cast(Any, kind))
    kept = {key: value for key, value in found.items() if key not in tests or tests[key](value)}
    return kept  # type: ignore[return-value]


@cache
def _entries(kind: Hashable) -> dict[str, Callable[[Any], bool]]:
    return {key: _test(hint) for key, hint in get_type_hints(kind).items()}


def fits(value: Any, hint: Any) -> bool:
    """Whether plain data has a type: a float can be squared, and a bool is not an int."""
    return _test(hint)(value)


@cache
def _test(hint: Any) -> Callable[[Any], bool]:
    """Whether a value has a type, made once for each type: records are many."""
    inner = tuple(map(_test, get_args(hint))) if get_origin(hint) is not Literal else ()
    origin = get_origin(hint)
    if hint is Any:
        return lambda value: True
    if is_typeddict(hint):
        return lambda value: (
            isinstance(value, dict)
            and len(known(hint, value)) == len(value)
            and hint.__required_keys__ <= value.keys()
        )
    if origin in (Union, UnionType):
        return reduce(lambda one, other: lambda value: one(value) or other(value), inner)
    if origin is Literal:
        kinds = tuple((type(one), one) for one in get_args(hint))
        return lambda value: any(type(value) is kind and value == one for kind, one in kinds)
    if origin is list:
        return lambda value: isinstance(value, list) and all(map(inner[0], value))
    if origin is dict:
        return lambda value: isinstance(value, dict) and all(map(inner[1], value.values()))
    if hint is float:
        return lambda value: number(value) is not None
    if hint is int:
        return lambda value: type(value) is int and -HUGE < value < HUGE
    kind = NoneType if hint is None else hint
    return lambda value: type(value) is kind


def number(value: Any) -> float | None:
    """A float that can be squared, or None for everything else."""
    if type(value) is float:
        return value if -HUGE < value < HUGE else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < HUGE else None
