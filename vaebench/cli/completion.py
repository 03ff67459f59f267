"""What the shell completes: names of variants, data sets, metrics and the like, and of cells.

The names are kept on disk for the packages that are installed, since finding them out takes
seconds. No torch.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names(setting: str, choices: Iterable[str] = ()) -> Complete:
    """Completes the last item of a comma-separated list of a setting's values.

    Args:
        setting: A field of a cell, such as ``plugin`` or ``metrics``.
        choices: Its values, where these are known without looking.
    """

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        begin, comma, last = incomplete.rpartition(",")
        if begin.count("[") > begin.count("]"):
            return []
        known = list(choices) or kept().get(setting, [])
        return [CompletionItem(f"{begin}{comma}{n}") for n in known if n.startswith(last)]

    return complete


def cells(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The cells of the run given with ``--run``, or ahead of them, or of the newest."""
    from vaebench.errors import UserError
    from vaebench.runs.run import newest

    before = context.params.get("cells") or ()
    with suppress(UserError, OSError):
        first = next((name for name in before if (Path(name) / "cells").is_dir()), None)
        run = Path(context.params.get("run") or first or newest())
        found = sorted(path.name for path in (run / "cells").iterdir() if path.is_dir())
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]
    return []


def runs(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The runs in the folder that is begun, or in ``results``."""
    folder = incomplete.rpartition("/")[0] or "results"
    found = sorted(str(path.parent) for path in Path(folder).glob("*/cells"))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def runs_and_cells(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Runs, and cells of the run that is named already or of the newest."""
    return [*runs(context, parameter, incomplete), *cells(context, parameter, incomplete)]


def keep(found: dict[str, Any]) -> None:
    """Write the names of an inventory to disk; where that is not possible nothing is kept."""
    from vaebench.runs import files
    from vaebench.training.kl_schedules import KL_SCHEDULES
    from vaebench.training.optimisers import OPTIMISERS

    def of(*kinds: str, key: str = "name") -> list[str]:
        return sorted({one[key] for kind in kinds for one in found[kind]})

    metrics = of("metrics")
    variants = [one["name"] for plugin in found["plugins"] for one in plugin["variants"]]
    known = {
        "plugin": sorted({*variants, "all"}),
        "dataset": of("datasets"),
        "backbone": of("backbones"),
        "likelihood": of("likelihoods"),
        "sampler": ["prior", *of("samplers")],
        "extractor": of("features"),
        "metrics": sorted({*metrics, *of("metrics", key="group"), "default", "all"}),
        "columns": sorted({re.sub(r"_?\{\w+\}", "", name) for name in metrics}),
        "optimiser": sorted(OPTIMISERS),
        "kl_schedule": sorted(KL_SCHEDULES),
    }
    with suppress(OSError):
        text = json.dumps({"installed": _installed(), "names": known})
        files.write_text(_path(), text)


def kept() -> dict[str, list[str]]:
    """The names by setting, found out where they are not known or packages have changed."""
    for attempt in range(2):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(_path().read_text())
            if found["installed"] == _installed():
                return {name: [str(one) for one in some] for name, some in found["names"].items()}
        if not attempt:
            from vaebench.cli import inventory

            keep(inventory.collect())
    return {}


def _path() -> Path:
    from vaebench.config.resources import cache_folder

    return cache_folder() / "names.json"


def _installed() -> list[str]:
    from vaebench._version import __version__
    from vaebench.registry.survey import packages_on

    return [__version__, packages_on(tuple(sys.path)), os.environ.get("VAEBENCH_PLUGINS", "")]
