"""What is installed, as plain data and as tables for the terminal."""

from typing import Any


def collect() -> dict[str, Any]:
    """Plugins with their variants, data sets, backbones and metrics."""
    from vaebench.backbones import BACKBONES
    from vaebench.data import SOURCES
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
        "metrics": [
            {
                "name": metric.name,
                "group": metric.group,
                "unit": metric.unit,
                "better": metric.better,
                "description": metric.description,
            }
            for metric in METRICS
        ],
    }


def show(found: dict[str, Any]) -> None:
    """Print the inventory as tables."""
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
        screen.print(drawn)
        screen.print()

    variants = [(v, plugin) for plugin in found["plugins"] for v in plugin["variants"]]
    table(
        "Variants",
        ["name", "plugin", "package", "options", "breaks"],
        [
            [
                variant["name"],
                plugin["name"],
                plugin["package"],
                ", ".join(f"{key}={value}" for key, value in variant["options"].items()),
                ", ".join(variant["deviations"]),
            ]
            for variant, plugin in variants
        ],
    )
    for one in found["broken"]:
        screen.print(Text(f"broken: {one['name']} ({one['reason']})", style="red"))
    table(
        "Data sets",
        ["name", "what", "split", "likelihood", "backbone"],
        [
            [
                one["name"],
                one["title"],
                one["split"],
                one["likelihood"] + (f", {one['binarise']}" if one["binarise"] != "none" else ""),
                one["backbone"],
            ]
            for one in found["datasets"]
        ],
    )
    table("Backbones", ["name", "what"], [[b["name"], b["title"]] for b in found["backbones"]])
    table(
        "Likelihoods",
        ["name", "observes"],
        [[m["name"], m["observes"]] for m in found["likelihoods"]],
    )
    table(
        "Metrics",
        ["name", "group", "unit", "better", "what"],
        [
            [m["name"], m["group"], m["unit"], m["better"] or "-", m["description"]]
            for m in found["metrics"]
        ],
    )
