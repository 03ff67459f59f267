"""Finds the installed plugins, each isolated from the others, and what they add."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from vaebench import hookspecs
from vaebench._version import __version__
from vaebench.config.names import parse
from vaebench.errors import UserError, unknown
from vaebench.hookspecs import GROUP
from vaebench.models.variant import Variant
from vaebench.registry.code import digest

if TYPE_CHECKING:
    from vaebench.data.images import Source
    from vaebench.models.backbones import Backbone
    from vaebench.models.likelihoods import Likelihood
from vaebench.registry.options import configure

#: The name under which the data sets and backbones of vaebench itself are found.
BUILT_IN = "vaebench"
#: What plugins bring by name beside variants, in the words of a sentence.
KINDS = {
    "datasets": "data set",
    "backbones": "backbone",
    "likelihoods": "likelihood",
    "features": "feature extractor",
}
#: Names become folder names and table cells; this is what they may hold.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Plugin:
    """One entry point: its name, the package that brings it, its code version, what it adds."""

    name: str
    package: str
    code: str
    variants: tuple[Variant, ...]
    features: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    datasets: "Mapping[str, Source]" = field(default_factory=dict)
    backbones: "Mapping[str, Backbone]" = field(default_factory=dict)
    likelihoods: "Mapping[str, type[Likelihood]]" = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """All that is installed: working plugins, and for the broken ones the reason."""

    plugins: Mapping[str, Plugin]
    broken: Mapping[str, str]

    def owner(self, name: str) -> Plugin:
        """The plugin that adds the variant `name`; UserError if there is none, or several."""
        owners = [p for p in self.plugins.values() if any(v.name == name for v in p.variants)]
        return self._only("variant", name, owners, self.names())

    def bringer(self, kind: str, name: str) -> Plugin:
        """The plugin that brings `name`; UserError if there is none, or several.

        Args:
            kind: ``datasets``, ``backbones`` or ``likelihoods``.
            name: Without a path.
        """
        owners = [p for p in self.plugins.values() if name in getattr(p, kind)]
        return self._only(KINDS[kind], name, owners, self.brought(kind))

    def brought(self, kind: str) -> dict[str, Plugin]:
        """The plugins that bring things of a kind, by the names of these."""
        return {name: p for p in self.plugins.values() for name in getattr(p, kind)}

    def _only(self, kind: str, name: str, owners: list[Plugin], known: Iterable[str]) -> Plugin:
        if len(owners) > 1:
            both = " and ".join(f"{p.name!r} ({p.package})" for p in owners)
            raise UserError(
                f"The {kind} {name!r} comes from the plugins {both}; uninstall one of them, or "
                "name in VAEBENCH_PLUGINS those to load."
            )
        if owners:
            return owners[0]
        if name in self.broken:
            raise UserError(f"The plugin {name!r} cannot be loaded: {self.broken[name]}.")
        raise unknown(kind, name, known)

    def names(self) -> list[str]:
        """The names of all variants, sorted."""
        return sorted({v.name for p in self.plugins.values() for v in p.variants})

    def extractors(self) -> list[str]:
        """The names of all feature extractors that plugins add, sorted."""
        return sorted({name for p in self.plugins.values() for name in p.features})

    def variant(self, spelled: str) -> Variant:
        """The variant spelled ``name`` or ``name[option=value,…]``, its options set."""
        name, options = parse(spelled)
        variant = next(v for v in self.owner(name).variants if v.name == name)
        return configure(variant, options) if options else variant

    def select(self, names: Iterable[str]) -> list[str]:
        """The spelled variants that `names` stand for, in order, each once.

        A plugin's name stands for all of its variants, ``all`` for every variant installed. The
        name of a broken plugin stays in the list: its cells fail, the others run.
        """
        chosen: list[str] = []
        for spelled in names:
            name, options = parse(spelled)
            if name == "all":
                chosen += [*self.names(), *self.broken]
            elif name in self.broken:
                chosen.append(name)
            elif not options and name in self.plugins:
                chosen += [v.name for v in self.plugins[name].variants]
            else:
                chosen.append(self.variant(spelled).name)
        return list(dict.fromkeys(chosen))


@cache
def catalogue() -> Catalogue:
    """Everything installed in the entry-point group ``vaebench``.

    ``VAEBENCH_PLUGINS=a,b`` in the environment restricts it to those entry points.
    """
    only = os.environ.get("VAEBENCH_PLUGINS")
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    chosen = [p for p in points if only is None or p.name in only.split(",")]
    plugins: dict[str, Plugin] = {}
    broken: dict[str, str] = {}
    for point in chosen:
        try:
            if point.name in plugins or point.name in broken or point.name == BUILT_IN:
                raise UserError("two installed packages use this entry-point name")
            plugins[point.name] = _load(point)
        # A stranger's module may fail in any way, SystemExit included.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            plugins.pop(point.name, None)
            broken[point.name] = f"{type(error).__name__}: {error}{_place(error)}"
    # The version of vaebench stands for its own code.
    own = _read(BUILT_IN, import_module("vaebench.registry.builtin"), f"vaebench {__version__}")
    return Catalogue({**plugins, BUILT_IN: replace(own, code="")}, broken)


def _place(error: BaseException) -> str:
    """File and line of an error that rises from other code than this, or nothing."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = isinstance(error, UserError | SyntaxError) or last.filename.startswith("<")
    return "" if ours else f" ({Path(last.filename).name}, line {last.lineno})"


def _load(point: EntryPoint) -> Plugin:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"
    return _read(point.name, point.load(), package)


def _read(name: str, module: Any, package: str) -> Plugin:
    """What a module adds through the hooks; UserError where a hook returns something else."""
    from vaebench.data.images import Source
    from vaebench.models.backbones import Backbone
    from vaebench.models.likelihoods import TAKES, Likelihood

    made_for = getattr(module, "vaebench_interface", hookspecs.INTERFACE)
    if made_for != hookspecs.INTERFACE:
        raise UserError(
            f"it is made for version {made_for} of the plugin interface, and this vaebench has "
            f"version {hookspecs.INTERFACE}; install versions that match"
        )
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    manager.check_pending()
    hooks = manager.hook
    variants = tuple(v for answer in hooks.vaebench_variants() for v in answer)
    features = _named(hooks.vaebench_features, callable, "a function that loads the network")
    datasets = _named(hooks.vaebench_datasets, lambda x: isinstance(x, Source), "a Source")
    backbones = _named(hooks.vaebench_backbones, lambda x: isinstance(x, Backbone), "a Backbone")
    likelihoods = _named(
        hooks.vaebench_likelihoods,
        lambda x: isinstance(x, type) and issubclass(x, Likelihood) and x.takes in TAKES,
        f"a Likelihood class that takes one of {', '.join(TAKES)}",
    )
    if not (variants or features or datasets or backbones or likelihoods):
        raise UserError("it adds nothing; mark vaebench_variants, or another hook, with @hookimpl")
    for variant in variants:
        if not isinstance(variant, Variant):
            raise UserError(f"vaebench_variants returned {variant!r}, which is no Variant")
        if not NAME.fullmatch(variant.name):
            raise UserError(f"the variant name {variant.name!r} is not of the form {NAME.pattern}")
    return Plugin(
        name, package, _code(module), variants, features, datasets, backbones, likelihoods
    )


def _named(hook: Any, fits: Callable[[Any], bool], wanted: str) -> dict[str, Any]:
    """What a hook returns by name; UserError for a bad name and for what does not fit."""
    found: dict[str, Any] = {}
    for answer in hook():
        if not isinstance(answer, Mapping):
            raise UserError(f"{hook.name} returned {answer!r:.60}, which is no dict of names")
        for name, value in answer.items():
            if not (isinstance(name, str) and NAME.fullmatch(name) and fits(value)):
                raise UserError(
                    f"{hook.name} returned {name!r}: {value!r:.60}, which is no name of the form "
                    f"{NAME.pattern} with {wanted}"
                )
            found[name] = value
    return found


def _code(module: Any) -> str:
    """A digest of the file that the plugin is written in: its code version."""
    return digest(sys.modules[getattr(module, "__module__", None) or module.__name__].__file__)
