"""What is installed, as plain data and as tables for the terminal."""

from collections.abc import Callable, Iterator
from typing import Any


def collect() -> dict[str, Any]:
    """Plugins with their variants, data sets, backbones and metrics."""
    from vaebench.backbones import BACKBONES
    from vaebench.data import SOURCES
    from vaebench.evaluation.features import EXTRACTORS
    from vaebench.evaluation.metrics import METRICS
    from vaebench.likelihoods import LIKELIHOODS
    from vaebench.plugins import catalogue, options

    found = catalogue()
    return {
        "plugins": [
            {
                "name": plugin.name,
                "package": plugin.package,
                "variants": [
                    {
                        "name": variant.name,
                        "objective": getattr(variant.objective, "__name__", ""),
                        "options": options(variant),
                        "penalties": list(variant.penalties),
                        "deviations": dict(variant.deviations),
                        "reference": variant.reference,
                    }
                    for variant in plugin.variants
                ],
            }
            for plugin in found.plugins.values()
        ],
        "broken": [{"name": name, "reason": why} for name, why in found.broken.items()],
        "datasets": [
            {
                "name": name,
                "title": source.title,
                "split": source.split,
                "likelihood": source.likelihood,
                "binarise": source.binarise,
                "backbone": source.backbone,
                "extractor": source.extractor,
                "latent": source.latent,
            }
            for name, source in SOURCES.items()
        ],
        "backbones": [{"name": name, "title": one.title} for name, one in BACKBONES.items()],
        "likelihoods": [
            {"name": name, "observes": kind.noise + " pixels"} for name, kind in LIKELIHOODS.items()
        ],
        "features": [
            *({"name": name, "from": "vaebench"} for name in EXTRACTORS),
            *(
                {"name": name, "from": plugin.package}
                for plugin in found.plugins.values()
                for name in plugin.features
            ),
        ],
        "metrics": [
            {
                "name": metric.name,
                "group": metric.group,
                "unit": metric.unit,
                "better": metric.better,
                "description": metric.description,
                "default": not metric.costly,
            }
            for metric in METRICS
        ],
    }


def show(found: dict[str, Any]) -> None:
    """Print the inventory, or the parts of it that there are, as tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console()

    def table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
        drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            drawn.add_column(column, no_wrap=column == "name", overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(str(item)) for item in row))
        if rows:
            screen.print(drawn)
            screen.print()

    table("Variants", ["name", "plugin", "package", "options", "breaks"], list(_variants(found)))
    for one in found.get("broken", ()):
        screen.print(Text(f"broken: {one['name']} ({one['reason']})", style="red"))
    for title, (key, columns, row) in _TABLES.items():
        table(title, columns, [row(one) for one in found.get(key, ())])


def _variants(found: dict[str, Any]) -> Iterator[list[str]]:
    for plugin in found.get("plugins", ()):
        for variant in plugin["variants"]:
            yield [
                variant["name"],
                plugin["name"],
                plugin["package"],
                ", ".join(f"{key}={value}" for key, value in variant["options"].items()),
                ", ".join(variant["deviations"]),
            ]


def _dataset(one: dict[str, Any]) -> list[str]:
    observed = "" if one["binarise"] == "none" else f", {one['binarise']}"
    return [one["name"], one["title"], one["split"], one["likelihood"] + observed, one["backbone"]]


def _metric(one: dict[str, Any]) -> list[str]:
    asked = "" if one["default"] else " Only when asked for."
    better = {"higher": "higher", "lower": "lower"}.get(one["better"], "neither")
    return [one["name"], one["group"], one["unit"], better, one["description"] + asked]


_TABLES: dict[str, tuple[str, list[str], Callable[[dict[str, Any]], list[str]]]] = {
    "Data sets": ("datasets", ["name", "what", "split", "likelihood", "backbone"], _dataset),
    "Backbones": ("backbones", ["name", "what"], lambda one: [one["name"], one["title"]]),
    "Likelihoods": ("likelihoods", ["name", "observes"], lambda o: [o["name"], o["observes"]]),
    "Feature extractors": ("features", ["name", "from"], lambda one: [one["name"], one["from"]]),
    "Metrics": ("metrics", ["name", "group", "unit", "better", "what"], _metric),
}
