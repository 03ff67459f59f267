"""What a run is asked for: for each setting its values, from which the cells are combined."""

from collections.abc import Iterator, Mapping
from dataclasses import field, make_dataclass
from reprlib import Repr
from typing import Any

from vaebench.config.cell import ALWAYS, MEASURED, SETTINGS, digest
from vaebench.config.declaration import Setting
from vaebench.errors import UserError, unknown

_Asked: Any = make_dataclass(
    "_Asked", [(s.asked, Any, field(default=s.default)) for s in SETTINGS], frozen=True
)


class Settings(_Asked):
    """A run as it is asked for: an attribute for each of `SETTINGS`, by its name `asked`.

    None stands for the data set's default. A setting that takes several values is a tuple of them;
    where it is an axis, a cell is run for each combination with the values of the other axes.
    """

    def faults(self) -> Iterator[tuple[str, UserError]]:
        """The settings whose values cannot work, each with the error to raise."""
        for setting in SETTINGS:
            for fault in setting.faults(getattr(self, setting.asked)):
                yield setting.asked, fault
        if max(self.kl_warmup) >= min(self.epochs):
            yield (
                "kl_warmup",
                UserError("--kl-warmup must end before the last of the --epochs."),
            )
        if ("seconds" in self.budget) != (self.seconds is not None):
            yield (
                "seconds" if self.seconds is not None else "budget",
                UserError("--budget seconds and --seconds N go together; give both."),
            )

    def check(self) -> None:
        """Raise UserError for values that cannot work."""
        for _, fault in self.faults():
            raise fault


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as plain data for YAML; an axis of one value is written as the value."""
    return {s.asked: s.plain(getattr(settings, s.asked)) for s in SETTINGS}


def trainings(settings: Settings) -> dict[str, Any]:
    """As `to_dict`, what the trainings of a run depend on: what is measured is no part of it."""
    values = to_dict(settings)
    return {s.asked: values[s.asked] for s in SETTINGS if s.name not in MEASURED}


def run_name(settings: Settings) -> str:
    """Eight hexadecimal digits that name a run of these settings, whatever it measures.

    As in the names of cells, a setting that was added later does not count where it asks for what
    was done before.
    """
    values = trainings(settings)
    counted = [s for s in SETTINGS if s.asked in values and _counts(s, values[s.asked])]
    return digest({s.asked: values[s.asked] for s in counted})


def _counts(setting: Setting, value: Any) -> bool:
    before = setting.absent if setting.shown else None
    return setting.name in ALWAYS or value != before


def from_dict(given: Any, where: str, lines: Mapping[str, int] | None = None) -> Settings:
    """Settings from plain data, where a text means what it means on the command line.

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

    known = {s.asked: s for s in SETTINGS}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise unknown(f"setting in {place(key)}:", str(key), known)
        try:
            values[key] = known[key].read(value)
        except (ValueError, OverflowError):
            if lines is None or key in lines:
                what = f"{place(key)}: {key} cannot be {_SHORT.repr(value)}"
            else:
                what = f"{known[key].flag} cannot be {_typed(value)}"
            raise UserError(f"{what}; it takes {known[key].takes}.") from None
    settings = Settings(**values)
    for key, fault in settings.faults():
        raise UserError(f"{place(key)}: {fault}") if lines and key in lines else fault
    return settings


def _typed(value: Any) -> str:
    """A value as it is given on the command line."""
    text = ",".join(map(str, value if isinstance(value, list) else [value]))
    return text if text.strip(", ") else "empty"


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 1
