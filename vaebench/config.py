"""What is asked for: a run's settings, and the cells that they resolve to. Plain data, no torch."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from vaebench.errors import UserError, unknown

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
    binarise: str | None = None
    width: int | None = None
    image_size: int | None = None
    epochs: int = 40
    batch_size: int = 64
    lr: float = 2e-3
    lr_schedule: str = "cosine"
    kl_warmup: int = 0
    critic_weight: float = 10.0
    evaluate: str = "best"
    metrics: tuple[str, ...] = ("all",)
    ais_images: int = 64
    iw_samples: int = 256

    def check(self) -> None:
        """Raise UserError for numbers that cannot work."""
        for name in ("epochs", "batch_size", "ais_images", "iw_samples"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be 1 or more.")
        if not (self.lr > 0 and self.critic_weight >= 0 and self.kl_warmup >= 0):
            raise UserError("--lr must be positive, --critic-weight and --kl-warmup not negative.")
        if self.kl_warmup >= self.epochs:
            raise UserError("--kl-warmup must end before the last of the --epochs.")
        if any(latent is not None and latent < 1 for latent in self.latent):
            raise UserError("--latent must be 1 or more.")
        if self.width is not None and self.width < 1:
            raise UserError("--width must be 1 or more.")
        if self.evaluate not in ("best", "last"):
            raise unknown("choice of --evaluate", self.evaluate, ("best", "last"))


@dataclass(frozen=True)
class Cell:
    """One variant × data set × options × seed, fully resolved: the unit of work."""

    plugin: str
    dataset: str
    backbone: str
    width: int
    critic: str
    critic_weight: float
    latent: int
    likelihood: str
    binarise: str
    image_size: int | None
    seed: int
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    kl_warmup: int
    evaluate: str
    metrics: tuple[str, ...]
    ais_images: int
    iw_samples: int
    extractor: str
    data: str
    code: str = field(default="")

    @property
    def id(self) -> str:
        """``<plugin>-<dataset>-s<seed>-<hash8>``, safe as a folder's name."""
        name, data = (
            re.sub(r"[^A-Za-z0-9.=]+", "_", text)[:48] for text in (self.plugin, self.dataset)
        )
        return f"{name}-{data}-s{self.seed}-{digest(asdict(self))}"


def digest(value: Any) -> str:
    """Eight hexadecimal digits that depend on plain data alone."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as plain data for YAML."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(settings).items()
    }


def from_dict(given: Any, where: str) -> Settings:
    """Settings from plain data; UserError for unknown keys and values of a wrong type."""
    if not isinstance(given, dict):
        raise UserError(f"{where} holds no settings; a config.yaml of a run shows the form.")
    known = {f.name: f for f in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise unknown(f"setting in {where}:", str(key), known)
        default = known[key].default
        if isinstance(default, tuple):
            value = tuple(value) if isinstance(value, list) else (value,)
            sample = default[0] if default else None
            kinds = {_kind(key, sample)}
            good = all((v is None and sample is None) or type(v) in kinds for v in value) and value
        else:
            kind = _kind(key, default)
            if kind is float and type(value) is int:
                value = float(value)
            good = type(value) is kind or (value is None and default is None)
        if not good:
            raise UserError(f"{where}: {key} cannot be {value!r}.")
        values[key] = value
    settings = Settings(**values)
    settings.check()
    return settings


def _kind(key: str, default: Any) -> type:
    if default is not None:
        return type(default)
    return int if key in ("latent", "width", "image_size") else str
