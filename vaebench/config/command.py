"""The command that computes one cell again. No torch."""

import shlex
from collections.abc import Mapping
from dataclasses import MISSING
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
    for setting in SETTINGS:
        absent = None if setting.absent is MISSING else setting.absent
        value = config.get(setting.name, absent)
        text = join(map(shown, value if isinstance(value, list | tuple) else [value]))
        usual = shown(effort[setting.name]) if setting.name in effort else setting.shown
        if value is not None and text != usual and not _idle(setting.name, config):
            words += [setting.flag, text]
    return shlex.join(words)


def _idle(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a cell has a value of a setting that follows from its others."""
    if name == "weight_decay":
        return not {"optimiser", "weight_decay"} & config.keys()
    return name == "critic_weight" and config.get("critic") == "none"
