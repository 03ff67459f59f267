"""What a plugin's hooks return: read once, checked, and described as plain data."""

import inspect
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from functools import partial
from types import MappingProxyType
from typing import Any

import pluggy

from vaebench import hookspecs
from vaebench.config.cell import MEASURED, Cell
from vaebench.config.metric import TEMPLATE
from vaebench.config.space import Choice, Range, Space
from vaebench.data.images import Source
from vaebench.errors import UserError
from vaebench.hookspecs import GROUP
from vaebench.models.backbones import Backbone
from vaebench.models.items import NOUNS
from vaebench.models.likelihoods import TAKES, Likelihood
from vaebench.models.metric import Metric
from vaebench.models.variant import BEFORE, FACTS, NEEDS, Variant, given
from vaebench.registry.code import digest
from vaebench.registry.options import PLAIN, keywords, options
from vaebench.runs.schema import FIXED

#: Names become folder names and table cells; this is what they may hold.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: Names that stand for several things where they are asked for.
RESERVED = ("all", "default")
#: Columns of tables that are not metrics.
_TAKEN = {*FIXED, *MEASURED, *(field.name for field in fields(Cell))}
#: What a thing is, as plain data: what `vaebench list` tells and a run is planned with.
Facts = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of thing that plugins bring by name.

    Attributes:
        noun: What it is called in a sentence.
        hook: The hook that returns things of this kind by name.
        check: Returns the thing; raises UserError, which goes on from the thing's name, for
            what is not of this kind.
        facts: Describes it.
        knowing: The class of things that know their names, so that the hook returns a list.
    """

    noun: str
    hook: str
    check: Callable[[Any], Any]
    facts: Callable[[Any], Facts]
    knowing: type[Any] | None = None


@dataclass(frozen=True)
class Contents:
    """What a loaded plugin brings.

    Attributes:
        code: A digest of the file that it is written in: its code version.
        things: Variants, data sets and the like, by kind and name.
    """

    code: str
    things: Mapping[str, Mapping[str, Any]]

    def facts(self) -> dict[str, dict[str, Facts]]:
        """What everything is, by kind and name."""
        return {
            kind: {name: KINDS[kind].facts(thing) for name, thing in things.items()}
            for kind, things in self.things.items()
        }


def read(name: str, module: Any) -> Contents:
    """What a module adds through the hooks.

    Raises:
        UserError: A hook returns something else than it must.
    """
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
    things = {key: _checked(getattr(manager.hook, kind.hook), kind) for key, kind in KINDS.items()}
    if not any(things.values()):
        raise UserError("it adds nothing; mark vaebench_variants, or another hook, with @hookimpl")
    home = sys.modules[getattr(module, "__module__", None) or module.__name__]
    return Contents(digest(home.__file__), things)


def _checked(hook: Any, kind: Kind) -> dict[str, Any]:
    """What a hook returns, by name."""
    found: dict[str, Any] = {}
    for answer in hook():
        for name, thing in _named(hook.name, answer, kind.knowing):
            form = TEMPLATE if kind.knowing is Metric else NAME
            if not (type(name) is str and form.fullmatch(name)):
                raise UserError(
                    f"{hook.name} returns the name {_shown(name)}, which is not of the form "
                    f"{form.pattern}"
                )
            if name in RESERVED:
                raise UserError(
                    f"{hook.name} returns the name {name!r}, which stands for others where it is "
                    "asked for; choose another"
                )
            if name in found:
                raise UserError(f"{hook.name} returns two of the name {name!r}; rename one of them")
            try:
                found[name] = kind.check(thing)
            except UserError as error:
                raise UserError(f"the {kind.noun} {name!r} {error}") from None
    return found


def _named(hook: str, answer: Any, knowing: type[Any] | None) -> list[tuple[Any, Any]]:
    """Names and things of what a hook returns: a list where these know theirs, else a dict."""
    if isinstance(answer, Mapping) and knowing is None:
        return list(answer.items())
    if knowing is None:
        raise UserError(f"{hook} returns {_shown(answer)}, which is not a dict of names")
    noun = knowing.__name__
    try:
        things = list(answer)
    except TypeError:
        raise UserError(f"{hook} returns {_shown(answer)}, which is not a list of {noun}") from None
    for thing in things:
        if not isinstance(thing, knowing):
            raise UserError(f"{hook} returns {_shown(thing)}, which is not a {noun}")
    return [(thing.name, thing) for thing in things]


def _shown(value: Any) -> str:
    """A stranger's value in a sentence."""
    return f"{value!r:.60}"


def _is(wanted: str, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def check(thing: Any) -> Any:
        if not fits(thing):
            raise UserError(f"is {_shown(thing)}, not {wanted}")
        return thing

    return check


def _need(thing: Any, **wanted: tuple[str, Callable[[Any], bool]]) -> None:
    """Raise UserError for the first field that is not what it must be."""
    for name, (what, fits) in wanted.items():
        if not fits(value := getattr(thing, name)):
            raise UserError(f"has {name}={_shown(value)}, which is not {what}")


_TEXT = ("a text", lambda value: type(value) is str)
_FUNCTION = ("a function or class", callable)
_FUNCTION_OR_NONE = (
    "a function or class, or None",
    lambda value: value is None or callable(value),
)
_SWITCH = ("True or False", lambda value: type(value) is bool)
_COUNT = ("a whole number from 1 on", lambda value: type(value) is int and value >= 1)


def _mapping(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping)
        and all(type(key) is str and of(item) for key, item in value.items())
    )


def _some_of(known: Collection[str]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, set | frozenset | tuple | list)
        and all(type(item) is str and item in known for item in value)
    )


def _variant(thing: Variant) -> Variant:
    _need(
        thing,
        posterior=_FUNCTION,
        objective=_FUNCTION,
        samples=_COUNT,
        penalties=("a dict of functions by name", _mapping(callable)),
        **dict.fromkeys(("rival", "networks"), _FUNCTION_OR_NONE),
        needs=(f"a collection of some of {', '.join(NEEDS)}", _some_of(NEEDS)),
        deviations=("a dict of reasons by law", _mapping(lambda value: type(value) is str)),
        **dict.fromkeys(("reference", "family", "description"), _TEXT),
    )
    _takes("posterior", thing.posterior, "features", "context")
    _takes("objective", thing.objective, "draw")
    for name, penalty in thing.penalties.items():
        _takes(f"penalty {name!r}", penalty, "draw")
    if thing.rival is not None:
        _takes("rival", thing.rival, "features")
    if thing.networks is not None:
        _takes("pair of networks", thing.networks, "features", facts=BEFORE)
    _space(thing.search, f"has search={_shown(thing.search)}, which")
    check_space(thing.search, options(thing))
    # Of a subclass, what every other part of vaebench knows.
    return Variant(**{field.name: getattr(thing, field.name) for field in fields(Variant)})


def _space(thing: Any, subject: str = "") -> Mapping[str, Space]:
    if not _mapping(lambda space: isinstance(space, Range | Choice))(thing):
        raise UserError(
            f"{subject or f'is {_shown(thing)}, which'} is not a dict of Range or Choice"
        )
    found: Mapping[str, Space] = thing
    return found


def check_space(search: Mapping[str, Space], known: Mapping[str, Any]) -> None:
    """Raise UserError unless spaces are of options that there are, and hold their defaults."""
    for name, space in search.items():
        if name not in known:
            raise UserError(
                f"has a search space of {name!r:.60}, and its options are {', '.join(known)}"
            )
        if flaw := space.flaw(known[name]):
            raise UserError(f"has a search space of {name!r} that {flaw}")


def _takes(
    what: str, function: Any, *arguments: str, facts: Mapping[str, str] = MappingProxyType(FACTS)
) -> None:
    """Raise UserError unless a function can be called with these arguments and facts."""
    try:
        inspect.signature(given(function, facts)).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"has a {what} that cannot be called with ({', '.join(arguments)}): {error}; give "
            "every option a default"
        ) from None


def _source(thing: Any) -> Source:
    _is("a Source", lambda value: isinstance(value, Source))(thing)
    _need(
        thing,
        read=_FUNCTION,
        latent=_COUNT,
        inverted=_SWITCH,
        shuffled=_SWITCH,
        **dict.fromkeys(
            ("title", "split", "likelihood", "binarise", "backbone", "extractor", "path"), _TEXT
        ),
    )
    _takes("reader", thing.read, "request")
    found: Source = thing
    return found


def _of_source(source: Source) -> Facts:
    return _plain_fields(source) | {"options": keywords(source.read, 1)}


def _backbone(thing: Any) -> Backbone:
    _is("a Backbone", lambda value: isinstance(value, Backbone))(thing)
    _need(
        thing,
        title=_TEXT,
        build=_FUNCTION,
        width=_FUNCTION,
        check=_FUNCTION,
        kind=(f"one of {', '.join(NOUNS)}", NOUNS.__contains__),
    )
    found: Backbone = thing
    return found


def _likelihood(thing: Any) -> type[Likelihood]:
    _is(
        "a class of Likelihood",
        lambda value: isinstance(value, type) and issubclass(value, Likelihood),
    )(thing)
    _need(
        thing,
        title=_TEXT,
        takes=(f"one of {', '.join(TAKES)}", TAKES.__contains__),
    )
    _takes("constructor", thing, "levels")
    found: type[Likelihood] = thing
    return found


def _of_likelihood(kind: type[Likelihood]) -> Facts:
    return {
        "title": kind.title,
        "takes": kind.takes,
        "observes": ("pixels, " if kind.takes != "tokens" else "") + TAKES[kind.takes],
        "options": keywords(kind, 1),
    }


def _sampler(thing: Any) -> Any:
    _is("a function of codes", callable)(thing)
    names = [name for name in inspect.signature(thing).parameters if name == "posteriors"]
    _takes("signature", partial(thing, **dict.fromkeys(names)), "codes")
    return thing


def _of_sampler(thing: Any) -> Facts:
    title = (inspect.getdoc(thing) or "").partition("\n")[0]
    return {"title": title, "options": keywords(thing, 1)}


def _metric(thing: Metric) -> Metric:
    _need(
        thing,
        compute=_FUNCTION,
        place=("a whole number or None", lambda value: value is None or type(value) is int),
        keep=("a whole number", lambda value: type(value) is int),
        costly=_SWITCH,
        error=_SWITCH,
        **dict.fromkeys(("title", "unit", "description", "group", "head", "reference"), _TEXT),
    )
    _takes("function", thing.compute, "subject")
    if thing.name in _TAKEN:
        raise UserError("has the name of a setting or of a column that every table has")
    return thing


def _of_metric(metric: Metric) -> Facts:
    return {
        "group": metric.group,
        "unit": metric.unit,
        "better": metric.better,
        "description": metric.description,
        "needs": sorted(metric.needs),
    }


def _plain_fields(thing: Any) -> Facts:
    """The fields of a dataclass that are plain data."""
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {name: value for name, value in values.items() if type(value) in PLAIN}


def _of_variant(variant: Variant) -> Facts:
    return {
        "objective": str(getattr(variant.objective, "__name__", "")),
        "options": options(variant),
        "penalties": list(variant.penalties),
        "deviations": dict(variant.deviations),
        "reference": variant.reference,
        "family": variant.family,
        "needs": sorted({*variant.needs, *(["pictures"] if variant.networks else [])}),
        "networks": variant.networks is not None,
        "description": variant.description,
        "search": _of_space(variant.search),
    }


def _of_space(search: Mapping[str, Space]) -> Facts:
    return {name: str(space) for name, space in search.items()}


KINDS = {
    "variants": Kind("variant", "vaebench_variants", _variant, _of_variant, Variant),
    "spaces": Kind("search space", "vaebench_search_spaces", _space, _of_space),
    "datasets": Kind("data set", "vaebench_datasets", _source, _of_source),
    "backbones": Kind("backbone", "vaebench_backbones", _backbone, _plain_fields),
    "likelihoods": Kind("likelihood", "vaebench_likelihoods", _likelihood, _of_likelihood),
    "samplers": Kind("sampler", "vaebench_samplers", _sampler, _of_sampler),
    "metrics": Kind("metric", "vaebench_metrics", _metric, _of_metric, Metric),
    "features": Kind(
        "feature extractor",
        "vaebench_features",
        _is("a function that loads the network", callable),
        lambda thing: {},
    ),
}
