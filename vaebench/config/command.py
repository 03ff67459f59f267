"""The command that computes one cell again. No torch."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vaebench.config.settings import Settings

_SINGULAR = {"plugins": "plugin", "seeds": "seed"}


def command(config: Mapping[str, Any]) -> str:
    """`vaebench run` with the settings of a cell that are not the defaults; empty without any."""
    if config.get("plugin") is None:
        return ""
    words = ["vaebench", "run"]
    for setting in fields(Settings):
        value = config.get(_SINGULAR.get(setting.name, setting.name))
        default: Any = setting.default
        if not isinstance(value, list | tuple) and isinstance(default, tuple):
            default = default[0] if len(default) == 1 else default
        same = value == (list(default) if isinstance(value, list) else default)
        weightless = setting.name == "critic_weight" and config.get("critic") == "none"
        if value is not None and not same and not weightless:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            words += [f"--{setting.name.replace('_', '-')}", text]
    return shlex.join(words)
