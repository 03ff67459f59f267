"""The command that computes one cell again. No torch."""

import shlex
from collections.abc import Mapping
from dataclasses import MISSING
from functools import cache, lru_cache
from typing import Any

from vaebench.config.cell import SETTINGS
from vaebench.config.effort import chosen
from vaebench.config.names import join, shown


def command(config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """`vaebench run` with the settings of a cell that are not the defaults; empty without any.

    Args:
        config: Of its training and evaluation.
        data: What is known of its data: `shape` and `train`.
    """
    if config.get("plugin") is None:
        return ""
    words = ["vaebench", "run"]
    effort = chosen(data.get("shape"), data.get("train"))
    for name, flag, usual, absent in _settings():
        value = config.get(name, absent)
        if value is None:
            continue
        text = _text(value) if isinstance(value, str | int | float) else _texts(value)
        usual = shown(effort[name]) if name in effort else usual
        if text != usual and not _idle(name, config):
            words += [flag, text]
    return shlex.join(words)


@cache
def _settings() -> tuple[tuple[str, str, str, Any], ...]:
    """Each setting's name, flag and default, and what older cells did."""
    return tuple(
        (s.name, s.flag, s.shown, None if s.absent is MISSING else s.absent) for s in SETTINGS
    )


@lru_cache(2**12, typed=True)
def _text(value: str | float) -> str:
    return join([shown(value)])


def _texts(value: Any) -> str:
    return join(map(shown, value if isinstance(value, list | tuple) else [value]))


def _idle(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a cell has a value of a setting that follows from its others."""
    if name == "weight_decay":
        return not {"optimiser", "weight_decay"} & config.keys()
    return name == "critic_weight" and config.get("critic") == "none"
