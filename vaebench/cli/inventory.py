"""What is installed, as plain data and as tables for the terminal."""

from collections.abc import Callable
from typing import Any

from vaebench.errors import short


def collect() -> dict[str, Any]:
    """Plugins with their variants, data sets, backbones and metrics."""
    from vaebench.evaluation.features.extractor import EXTRACTORS
    from vaebench.evaluation.metrics.select import METRICS
    from vaebench.models.likelihoods import TAKES
    from vaebench.registry.catalogue import BUILT_IN, catalogue
    from vaebench.registry.options import keywords, options

    found = catalogue()
    own = found.plugins[BUILT_IN].package
    sources, backbones = found.brought("datasets"), found.brought("backbones")
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
                "from": plugin.package,
                "title": source.title,
                "split": source.split,
                "likelihood": source.likelihood,
                "binarise": source.binarise,
                "backbone": source.backbone,
                "extractor": source.extractor,
                "latent": source.latent,
            }
            for name, plugin in sources.items()
            for source in (plugin.datasets[name],)
        ],
        "backbones": [
            {"name": name, "from": plugin.package, "title": plugin.backbones[name].title}
            for name, plugin in backbones.items()
        ],
        "likelihoods": [
            {
                "name": name,
                "from": plugin.package,
                "title": kind.title,
                "takes": kind.takes,
                "observes": "pixels, " + TAKES[kind.takes],
                "options": keywords(kind, 1),
            }
            for name, plugin in found.brought("likelihoods").items()
            for kind in (plugin.likelihoods[name],)
        ],
        "features": [
            *({"name": name, "from": own} for name in EXTRACTORS),
            *({"name": n, "from": p.package} for n, p in found.brought("features").items()),
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
    """Print the inventory, or the parts of it that there are: a name, what it is, whose it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console()
    for title, (entries, describe) in _PARTS.items():
        drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
        rows = [(one["name"], describe(one), one.get("from", "")) for one in entries(found)]
        drawn.add_column("name", no_wrap=True)
        drawn.add_column("what")
        if any(row[2] for row in rows):
            drawn.add_column("from")
        for row in rows:
            drawn.add_row(*map(Text, row[: len(drawn.columns)]))
        if rows:
            screen.print(drawn)
            screen.print()
    for one in found.get("broken", ()):
        screen.print(Text(f"broken: {one['name']} ({short(one['reason'])})", style="red"))


def _variants(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**variant, "plugin": plugin["name"], "from": plugin["package"]}
        for plugin in found.get("plugins", ())
        for variant in plugin["variants"]
    ]


def _variant(one: dict[str, Any]) -> str:
    breaks = ", ".join(one["deviations"])
    parts = (
        one["reference"],
        _options(one),
        f"Breaks {breaks}" if breaks else "",
        f"Plugin {one['plugin']}" if one["plugin"] != one["name"] else "",
    )
    return _sentences(*parts)


def _likelihood(one: dict[str, Any]) -> str:
    return _sentences(one["title"], f"Observes {one['observes']}", _options(one))


def _options(one: dict[str, Any]) -> str:
    options = ", ".join(_option(*item) for item in one["options"].items())
    return f"Options {options}" if options else ""


def _option(key: str, value: Any) -> str:
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _dataset(one: dict[str, Any]) -> str:
    observed = "" if one["binarise"] == "none" else f" with {one['binarise']} binarisation"
    defaults = f"{one['backbone']}, {one['likelihood']}{observed}, {one['latent']} latents"
    return _sentences(one["title"], one["split"], f"Defaults: {defaults}")


def _metric(one: dict[str, Any]) -> str:
    asked = "" if one["default"] else "Only when asked for"
    better = {"higher": "Higher is better", "lower": "Lower is better"}
    direction = better.get(one["better"], "Neither direction is better")
    return _sentences(
        one["description"], f"{direction}, in {one['unit']}", f"Group {one['group']}", asked
    )


def _sentences(*parts: str) -> str:
    return " ".join(part.rstrip(".") + "." for part in parts if part)


def _part(key: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return lambda found: found.get(key, [])


_Entries = Callable[[dict[str, Any]], list[dict[str, Any]]]
_PARTS: dict[str, tuple[_Entries, Callable[[dict[str, Any]], str]]] = {
    "Variants": (_variants, _variant),
    "Data sets": (_part("datasets"), _dataset),
    "Backbones": (_part("backbones"), lambda one: one["title"]),
    "Likelihoods": (_part("likelihoods"), _likelihood),
    "Feature extractors": (_part("features"), lambda one: f"fid_{one['name']} and its kin"),
    "Metrics": (_part("metrics"), _metric),
}
