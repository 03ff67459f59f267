"""What is installed: which plugins bring which things, and the things themselves once needed."""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from vaebench._version import __version__
from vaebench.config.names import parse, spell
from vaebench.config.space import Space
from vaebench.errors import UserError, unknown
from vaebench.models.variant import Variant
from vaebench.registry import builtin, code
from vaebench.registry.contents import KINDS, Contents, Facts, check_space, read
from vaebench.registry.loading import load
from vaebench.registry.options import configure, of_variant
from vaebench.registry.survey import survey

#: The name under which what vaebench brings beside variants is found.
BUILT_IN = "vaebench"


@dataclass(frozen=True)
class Plugin:
    """One entry point: its name, the package that brings it, its code version, what it brings.

    Attributes:
        name: What it answers to: ``distribution:name`` where another one has taken the bare name.
        distribution: The package's name.
        package: The package's name and version, for tables.
        code: The code version of its file, empty for vaebench itself.
        facts: What everything is that it brings, by kind (see `KINDS`) and name.
        changed: What it changes for its whole process when it is loaded.
        point: Its entry point, None where it is loaded already.
    """

    name: str
    distribution: str
    package: str
    code: str
    facts: Mapping[str, Mapping[str, Facts]]
    changed: tuple[str, ...] = ()
    point: EntryPoint | None = None


@dataclass(frozen=True)
class Catalogue:
    """All that is installed: working plugins, and for the broken ones the reason.

    Nothing of a plugin is loaded into this process before it is asked for by name.
    """

    plugins: Mapping[str, Plugin]
    broken: Mapping[str, str]
    _loaded: dict[str, Contents] = field(default_factory=dict)

    def bringer(self, kind: str, name: str) -> Plugin:
        """The plugin that brings `name`; UserError if there is none, or several.

        What vaebench itself brings keeps its bare name; a stranger's of that name answers to
        ``distribution:name``, as all others do too.

        Args:
            kind: ``variants``, ``datasets``, ``backbones``, ….
            name: Without options or a path.
        """
        distribution, _, bare = name.rpartition(":")
        owners = [
            p
            for p in self.plugins.values()
            if bare in p.facts.get(kind, ()) and distribution in ("", p.distribution)
        ]
        owners = [p for p in owners if p.distribution == code.OWN] or owners
        noun = KINDS[kind].noun
        if len(owners) > 1:
            both = " and ".join(f"{p.name!r} ({p.package})" for p in owners)
            ways = " or ".join(sorted({f"{p.distribution}:{bare}" for p in owners}))
            remedy = f"write {ways}" if " or " in ways else "rename one of them"
            raise UserError(f"The {noun} {name!r} comes from the plugins {both}; {remedy}.")
        if owners:
            return owners[0]
        if name in self.broken:
            raise UserError(f"The plugin {name!r} cannot be loaded: {self.broken[name]}.")
        raise unknown(noun, name, self.brought(kind))

    def brought(self, kind: str) -> dict[str, Plugin]:
        """The plugins that bring things of a kind, by the names that these answer to."""
        found: dict[str, Plugin] = {}
        all_ = [(name, p) for p in self.plugins.values() for name in p.facts.get(kind, ())]
        for name, plugin in all_:
            alone = sum(other == name for other, _ in all_) == 1
            bare = alone or plugin.distribution == code.OWN
            found[name if bare else f"{plugin.distribution}:{name}"] = plugin
        return found

    def canonical(self, kind: str, name: str) -> str:
        """The name under which `brought` has a thing; UserError if there is none, or several."""
        owner, bare = self.bringer(kind, name), name.rpartition(":")[2]
        return bare if self.brought(kind).get(bare) is owner else f"{owner.distribution}:{bare}"

    def facts(self, kind: str, name: str) -> Facts:
        """What a thing is, as plain data; UserError if there is none, or several."""
        return self.bringer(kind, name).facts[kind][name.rpartition(":")[2]]

    def thing(self, kind: str, name: str) -> Any:
        """A data set, a backbone or the like, its plugin loaded into this process.

        Raises:
            UserError: There is none, or several, or the plugin cannot be loaded.

        Warns:
            UserWarning: The plugin changes something for the whole process; that is put back.
        """
        plugin, bare = self.bringer(kind, name), name.rpartition(":")[2]
        things = self._contents(plugin).things[kind]
        if bare not in things:
            raise UserError(
                f"The plugin {plugin.name!r} brings the {KINDS[kind].noun} {bare!r} at some times "
                "and at others not; it must bring the same each time."
            )
        return things[bare]

    def _contents(self, plugin: Plugin) -> Contents:
        if plugin.name not in self._loaded:
            assert plugin.point is not None
            try:
                found = load(plugin.name, plugin.point)
            except UserError as error:
                raise UserError(f"The plugin {plugin.name!r} cannot be loaded: {error}.") from error
            if found.changed:
                warnings.warn(changes(plugin.name, plugin.package, found.changed), stacklevel=2)
            self._loaded[plugin.name] = found.contents
        return self._loaded[plugin.name]

    def owner(self, name: str) -> Plugin:
        """The plugin that brings the variant `name`; UserError if there is none, or several."""
        return self.bringer("variants", name)

    def names(self) -> list[str]:
        """The names of all variants, sorted."""
        return sorted(self.brought("variants"))

    def extractors(self) -> list[str]:
        """The names of all feature extractors that plugins add, sorted."""
        return sorted(self.brought("features"))

    def variant(self, spelled: str) -> Variant:
        """The variant spelled ``name`` or ``name[option=value,…]``, its options set."""
        name, options = parse(spelled)
        found: Variant = self.thing("variants", name)
        found = replace(found, name=self.canonical("variants", name))
        return configure(found, options) if options else found

    def search(self, name: str) -> Mapping[str, Space]:
        """The options of a variant that tuning tries, as it declares them or a plugin does for it.

        Raises:
            UserError: What a plugin declares is not of options that the variant has.
        """
        own = self.variant(name).search
        if own or name not in self.brought("spaces"):
            return own
        found: Mapping[str, Space] = self.thing("spaces", name)
        try:
            check_space(found, self.facts("variants", name)["options"])
        except UserError as error:
            raise UserError(f"The variant {name!r} {error}.") from None
        return found

    def search_facts(self, name: str) -> Facts:
        """The spaces of `search` in words, without loading a plugin."""
        own: Facts = self.facts("variants", name)["search"]
        return own or (self.facts("spaces", name) if name in self.brought("spaces") else {})

    def select(self, names: Iterable[str]) -> list[str]:
        """The spelled variants that `names` stand for, in order, each once.

        A plugin's name stands for all of its variants, ``all`` for every variant installed. The
        name of a broken plugin stays in the list: its cells fail, the others run.
        """
        found: list[str] = []
        for spelled in names:
            name, options = parse(spelled)
            if name == "all":
                found += [*self.names(), *self.broken]
            elif name in self.broken:
                found.append(name)
            elif not options and name in self.plugins:
                mine = self.plugins[name]
                found += [
                    self.canonical("variants", f"{mine.distribution}:{each}")
                    for each in mine.facts.get("variants", ())
                ]
            else:
                known = self.canonical("variants", name)
                values = of_variant(known, options, self.facts("variants", name)["options"])
                found.append(spell(known, values))
        return list(dict.fromkeys(found))


@cache
def catalogue() -> Catalogue:
    """Everything installed in the entry-point group ``vaebench``.

    ``VAEBENCH_PLUGINS=a,b`` in the environment restricts it to those entry points.
    """
    only = os.environ.get("VAEBENCH_PLUGINS")
    points = {
        name: point
        for name, point in code.installed().items()
        if only is None or name in only.split(",")
    }
    refused = {name: "this name is taken" for name in (BUILT_IN, "all") if points.pop(name, None)}
    plugins: dict[str, Plugin] = {}
    broken: dict[str, str] = refused
    for name, offer in survey(points).items():
        point = points[name]
        if offer.failure:
            broken[name] = offer.failure
        else:
            distribution = code.package(point)
            package = f"{distribution} {point.dist.version}" if point.dist else distribution
            plugins[name] = Plugin(
                name, distribution, package, offer.code, offer.facts, offer.changed, point
            )
    # The version of vaebench stands for its own code.
    own = read(BUILT_IN, builtin)
    plugins[BUILT_IN] = Plugin(BUILT_IN, code.OWN, f"vaebench {__version__}", "", own.facts())
    return Catalogue(plugins, broken, {BUILT_IN: own})


def changes(name: str, package: str, changed: Iterable[str]) -> str:
    """A sentence about what loading a plugin changes for its whole process."""
    return f"The plugin {name!r} ({package}) changes {', '.join(changed)}; vaebench puts it back."
