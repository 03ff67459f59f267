"""What is installed, as plain data and as tables for the terminal."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vaebench.config.names import shown
from vaebench.errors import short

if TYPE_CHECKING:
    from rich.console import Console

    from vaebench.registry.catalogue import Catalogue

_Describe = Callable[[dict[str, Any]], str]


def collect() -> dict[str, Any]:
    """Plugins with their variants, data sets, backbones and metrics."""
    from vaebench.evaluation.features.extractor import EXTRACTORS
    from vaebench.evaluation.metrics.plugged import plugged
    from vaebench.evaluation.metrics.select import METRICS
    from vaebench.registry.catalogue import BUILT_IN, catalogue, changes

    found = catalogue()
    own = found.plugins[BUILT_IN].package
    return {
        "plugins": [
            {
                "name": plugin.name,
                "package": plugin.package,
                "variants": [
                    {"name": name, **found.facts("variants", name)}
                    | {"search": found.search_facts(name)}
                    for name, owner in found.brought("variants").items()
                    if owner is plugin
                ],
            }
            for plugin in found.plugins.values()
        ],
        "broken": [{"name": name, "reason": why} for name, why in found.broken.items()],
        "notes": [
            changes(plugin.name, plugin.package, plugin.changed)
            for plugin in found.plugins.values()
            if plugin.changed
        ],
        "datasets": _brought(found, "datasets"),
        "backbones": _brought(found, "backbones"),
        "likelihoods": _brought(found, "likelihoods"),
        "samplers": _brought(found, "samplers"),
        "features": [
            *({"name": name, "from": own} for name in EXTRACTORS),
            *({"name": n, "from": p.package} for n, p in found.brought("features").items()),
        ],
        "metrics": [
            *(
                {
                    "name": metric.name,
                    "from": own,
                    "group": metric.group,
                    "unit": metric.unit,
                    "better": metric.better,
                    "description": metric.description,
                    "default": not metric.costly,
                }
                for metric in METRICS
            ),
            *(
                {"name": each.name, "from": each.plugin.package, **each.facts}
                | {"group": each.group, "default": False}
                for each in plugged(found, (metric.name for metric in METRICS))
            ),
        ],
    }


def _brought(found: "Catalogue", kind: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "from": plugin.package, **found.facts(kind, name)}
        for name, plugin in found.brought(kind).items()
    ]


def names(found: dict[str, Any]) -> None:
    """Print the names of the inventory, with the package where it is another than vaebench's.

    Of metrics there are many; their groups stand for them.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    own = found["metrics"][0]["from"]
    screen = Console()
    drawn = Table(box=None, pad_edge=False, show_header=False)
    drawn.add_column("kind", no_wrap=True)
    drawn.add_column("names")
    groups = {(one["group"], one["from"]): None for one in found["metrics"]}
    known = found | {"metrics": [{"name": name, "from": whose} for name, whose in groups]}
    kinds = [(title, known[key]) for key, (title, _) in _PARTS.items()]
    for title, entries in [*((title, them) for title, them, _ in _families(found)), *kinds]:
        words = [
            one["name"] if one["from"] == own else f"{one['name']} ({one['from']})"
            for one in entries
        ]
        if words:
            drawn.add_row(Text(title), Text(", ".join(words)))
    screen.print(drawn)
    screen.print()
    screen.print(Text(f"`vaebench list variants` explains them; so do {', '.join(_PARTS)}."))
    _faults(screen, found)


def show(found: dict[str, Any]) -> None:
    """Print the inventory, or the parts of it that there are: a name, what it is, whose it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console()
    parts = [(title, found.get(key, []), describe) for key, (title, describe) in _PARTS.items()]
    for title, entries, describe in [*_families(found), *parts]:
        drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
        rows = [(one["name"], describe(one), one.get("from", "")) for one in entries]
        drawn.add_column("name", no_wrap=True)
        drawn.add_column("what")
        if any(row[2] for row in rows):
            drawn.add_column("from")
        if title in _BESIDE:
            drawn.caption, drawn.caption_justify = Text(_BESIDE[title]), "left"
        for row in rows:
            drawn.add_row(*map(Text, row[: len(drawn.columns)]))
        if rows:
            screen.print(drawn)
            screen.print()
    _faults(screen, found)


def _faults(screen: "Console", found: dict[str, Any]) -> None:
    from rich.text import Text

    for note in found.get("notes", ()):
        screen.print(Text(f"Note: {note}"))
    for one in found.get("broken", ()):
        screen.print(Text(f"broken: {one['name']} ({short(one['reason'])})", style="red"))


def _families(found: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]], _Describe]]:
    """The variants of each family under its title; those of none come last."""
    variants = [
        {**variant, "plugin": plugin["name"], "from": plugin["package"]}
        for plugin in found.get("plugins", ())
        for variant in plugin["variants"]
    ]
    families = sorted({one["family"] for one in variants}, key=lambda name: (not name, name))
    return [
        (
            f"Variants: {name or 'others'}" if any(families) else "Variants",
            [one for one in variants if one["family"] == name],
            _variant,
        )
        for name in families
    ]


def _variant(one: dict[str, Any]) -> str:
    breaks = ", ".join(one["deviations"])
    parts = (
        one["description"],
        one["reference"],
        _options(one),
        _search(one),
        "Brings its own networks" if one.get("networks") else "",
        f"Breaks {breaks}" if breaks else "",
        f"Plugin {one['plugin']}" if one["plugin"] != one["name"] else "",
    )
    return _sentences(*parts)


def _likelihood(one: dict[str, Any]) -> str:
    return _sentences(one["title"], f"Observes {one['observes']}", _options(one))


def _options(one: dict[str, Any]) -> str:
    options = ", ".join(_option(*item) for item in one["options"].items())
    return f"Options {options}" if options else ""


def _search(one: dict[str, Any]) -> str:
    spaces = ", ".join(f"{key} {space}" for key, space in one.get("search", {}).items())
    return f"Tuned over {spaces}" if spaces else ""


def _option(key: str, value: Any) -> str:
    return f"{key}={str(value).lower() if isinstance(value, bool) else shown(value)}"


def _dataset(one: dict[str, Any]) -> str:
    observed = "" if one["binarise"] == "none" else f" with {one['binarise']} binarisation"
    defaults = f"{one['backbone']}, {one['likelihood']}{observed}, {one['latent']} latents"
    return _sentences(one["title"], one["split"], f"Defaults: {defaults}", _options(one))


def _metric(one: dict[str, Any]) -> str:
    asked = "" if one["default"] else "Only when asked for"
    better = {"higher": "Higher is better", "lower": "Lower is better"}
    direction = better.get(one["better"], "Neither direction is better")
    return _sentences(
        one["description"], f"{direction}, in {one['unit']}", f"Group {one['group']}", asked
    )


def _sentences(*parts: str) -> str:
    return " ".join(part.rstrip(".") + "." for part in parts if part)


#: What is said of all things of a kind, below them.
_BESIDE = {
    "Data sets": "Each has the options train=10000 (so many training items) and given=left (right "
    "halves given the left ones), and, with labels, given=label, labels=100 (training sees that "
    "many; or all), without=CLASS (left out), sets=5 or views=3 (so many images of one class in an "
    "item, as a set or as its parts)."
}
_PARTS: dict[str, tuple[str, _Describe]] = {
    "datasets": ("Data sets", _dataset),
    "backbones": ("Backbones", lambda one: one["title"]),
    "likelihoods": ("Likelihoods", _likelihood),
    "samplers": ("Samplers", lambda one: _sentences(one["title"], _options(one))),
    "features": ("Feature extractors", lambda one: f"fid_{one['name']} and its kin"),
    "metrics": ("Metrics", _metric),
}
