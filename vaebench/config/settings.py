"""What is asked for: a run's settings, and the cells that they resolve to. Plain data, no torch."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vaebench.errors import UserError, unknown

#: What a cell's training may cost: epochs, images decoded, or seconds.
BUDGETS = ("epochs", "decoder-passes", "seconds")
#: The comparison that `vaebench run` makes when nothing else is asked for.
DEFAULT_PLUGINS = (
    "gaussian",
    "gmm",
    "gamix",
    "iwae",
    "iaf",
    "vmf",
    "epanechnikov",
    "autoencoder",
)


@dataclass(frozen=True)
class Settings:
    """A run as it is asked for; None stands for the data set's default.

    Tuples are axes: a cell is run for each combination of their values.
    """

    plugins: tuple[str, ...] = DEFAULT_PLUGINS
    dataset: tuple[str, ...] = ("digits",)
    seeds: tuple[int, ...] = (0,)
    backbone: tuple[str | None, ...] = (None,)
    critic: tuple[str, ...] = ("patchgan",)
    latent: tuple[int | None, ...] = (None,)
    likelihood: tuple[str | None, ...] = (None,)
    binarise: tuple[str | None, ...] = (None,)
    width: tuple[int | None, ...] = (None,)
    image_size: tuple[int | None, ...] = (None,)
    epochs: tuple[int, ...] = (40,)
    budget: tuple[str, ...] = ("epochs",)
    seconds: float | None = None
    batch_size: tuple[int, ...] = (64,)
    lr: tuple[float, ...] = (2e-3,)
    lr_schedule: tuple[str, ...] = ("cosine",)
    kl_warmup: tuple[int, ...] = (0,)
    critic_weight: tuple[float, ...] = (10.0,)
    evaluate: str = "best"
    metrics: tuple[str, ...] = ("default",)
    ais_images: int = 64
    ais_target: float | None = None
    ais_budget: int = 6000
    iw_samples: int = 256
    iw_images: int = 400
    extractor: str | None = None

    def faults(self) -> Iterator[tuple[str, UserError]]:
        """The settings whose values cannot work, each with the error to raise."""
        for name in _COUNTS:
            if any(value is not None and value < 1 for value in _values(self, name)):
                yield name, UserError(f"--{name.replace('_', '-')} must be 1 or more.")
        if not all(lr > 0 for lr in self.lr):
            yield "lr", UserError("--lr must be positive.")
        if self.ais_target is not None and not self.ais_target > 0:
            yield "ais_target", UserError("--ais-target must be positive.")
        for name in ("critic_weight", "kl_warmup"):
            if any(value < 0 for value in _values(self, name)):
                yield name, UserError(f"--{name.replace('_', '-')} must not be negative.")
        if max(self.kl_warmup) >= min(self.epochs):
            yield (
                "kl_warmup",
                UserError("--kl-warmup must end before the last of the --epochs."),
            )
        if self.evaluate not in ("best", "last"):
            yield "evaluate", unknown("choice of --evaluate", self.evaluate, ("best", "last"))
        for budget in self.budget:
            if budget not in BUDGETS:
                yield "budget", unknown("budget", budget, BUDGETS)
        if ("seconds" in self.budget) != (self.seconds is not None):
            yield (
                "seconds" if self.seconds is not None else "budget",
                UserError("--budget seconds and --seconds N go together; give both."),
            )
        elif self.seconds is not None and not self.seconds > 0:
            yield "seconds", UserError("--seconds must be positive.")

    def check(self) -> None:
        """Raise UserError for values that cannot work."""
        for _, fault in self.faults():
            raise fault


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as plain data for YAML; an axis of one value is written as the value."""
    return {
        key: value[0] if isinstance(value, tuple) and len(value) == 1 else _plain(value)
        for key, value in asdict(settings).items()
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def from_dict(given: Any, where: str, lines: Mapping[str, int] | None = None) -> Settings:
    """Settings from plain data.

    Args:
        given: A value, or a list of values, for each setting.
        where: What an error names as the place of a mistake.
        lines: The line that each key from a file stands on; the others are flags. None where
            there is neither.

    Raises:
        UserError: A key is unknown, or a value has a wrong type or cannot work.
    """
    if not isinstance(given, dict):
        raise UserError(f"{where} holds no settings; a config.yaml of a run shows the form.")

    def place(key: str) -> str:
        return f"{where}, line {lines[key]}" if lines and key in lines else where

    known = {f.name: f for f in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise unknown(f"setting in {place(key)}:", str(key), known)
        values[key] = _typed(key, value, known[key].default)
        if values[key] is _WRONG:
            takes = _TAKES[_kind(key, known[key].default)]
            what = f"{place(key)}: {key} cannot be {value!r}"
            if lines is not None and key not in lines:
                given_as = ",".join(map(str, value if isinstance(value, list) else [value]))
                what = f"--{key.replace('_', '-')} cannot be {given_as}"
            raise UserError(f"{what}; it takes {takes}.")
    settings = Settings(**values)
    for key, fault in settings.faults():
        raise UserError(f"{place(key)}: {fault}") if lines and key in lines else fault
    return settings


_WRONG = object()


def _typed(key: str, value: Any, default: Any) -> Any:
    """The value with the type of the setting, or _WRONG."""
    axis = isinstance(default, tuple)
    sample = default[0] if axis else default
    kind = _kind(key, default)
    values = [
        float(item) if kind is float and type(item) is int else item
        for item in (value if axis and isinstance(value, list) else [value])
    ]
    good = all(type(item) is kind or (item is None and sample is None) for item in values)
    finite = all(math.isfinite(item) for item in values if kind is float and type(item) is float)
    if not (values and good and finite):
        return _WRONG
    return tuple(dict.fromkeys(values)) if axis else values[0]


_TAKES = {int: "whole numbers", float: "finite numbers", str: "names"}


def _kind(key: str, default: Any) -> type:
    sample = default[0] if isinstance(default, tuple) else default
    return type(sample) if sample is not None else _KINDS.get(key, str)


#: Types of the settings whose default is None, other than texts.
_KINDS = {"latent": int, "width": int, "image_size": int, "seconds": float, "ais_target": float}
_COUNTS = (
    *("epochs", "batch_size", "latent", "width", "image_size"),
    *("ais_images", "ais_budget", "iw_samples", "iw_images"),
)


def _values(settings: Settings, name: str) -> tuple[Any, ...]:
    value = getattr(settings, name)
    return value if isinstance(value, tuple) else (value,)


def read(path: Path, what: str = "--config") -> tuple[dict[str, Any], dict[str, int]]:
    """The settings in a YAML file, and the line that each of them stands on.

    Args:
        path: The file.
        what: What an error calls it.

    Raises:
        UserError: The file cannot be read or is no mapping; the error names the line.
    """
    import yaml

    try:
        text = path.read_text("utf-8")
        tree = yaml.compose(text, yaml.SafeLoader)
        found = yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{what} {path}{line} is no YAML: {problem}.") from error
    if not isinstance(found, dict) or not isinstance(tree, yaml.MappingNode):
        raise UserError(f"{what} {path} holds no settings; a run's config.yaml shows the form.")
    lines: dict[str, int] = {}
    for key, _ in tree.value:
        line = key.start_mark.line + 1
        if lines.setdefault(str(key.value), line) != line:
            first = lines[str(key.value)]
            raise UserError(f"{path}, line {line}: {key.value} is set already in line {first}.")
    return found, lines
