"""Options, `name[option=value]`: what a constructor takes by keyword beside its arguments."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vaebench.config.names import spell
from vaebench.errors import UserError, unknown
from vaebench.models.variant import Variant

#: Types of the defaults of options, and of their values: what can be written on a command line.
PLAIN = (bool, int, float, str, type(None))


def options(variant: Variant) -> dict[str, Any]:
    """The options of a variant with their defaults."""
    found = keywords(variant.posterior, 2)
    for term in (variant.objective, *variant.penalties.values()):
        found |= keywords(term, 1)
    for factory in (variant.rival, variant.networks):
        if factory is not None:
            found |= keywords(factory, 1)
    return found | {"samples": variant.samples}


def configure(variant: Variant, given: Mapping[str, str]) -> Variant:
    """The variant with options set, named ``name[option=value,…]`` in alphabetical order.

    Raises:
        UserError: An option does not exist, or its value is not of the default's type.
    """
    values = of_variant(variant.name, given, options(variant))
    return replace(
        variant,
        name=spell(variant.name, values),
        samples=values.get("samples", variant.samples),
        posterior=_configured(variant.posterior, 2, values),
        objective=_configured(variant.objective, 1, values),
        penalties={key: _configured(term, 1, values) for key, term in variant.penalties.items()},
        rival=variant.rival and _configured(variant.rival, 1, values),
        networks=variant.networks and _configured(variant.networks, 1, values),
    )


def of_variant(name: str, given: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What `chosen` returns for a variant, which draws at least one sample.

    Raises:
        UserError: An option does not exist, or its value cannot be had.
    """
    values = chosen(name, given, defaults)
    if values.get("samples", 1) < 1:
        raise UserError(f"{name}[samples] must be 1 or more.")
    return values


def chosen(name: str, given: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the given options of `name`, each of its default's type.

    Raises:
        UserError: An option does not exist, or its value is not of the default's type.
    """
    for key in given:
        if key not in defaults:
            raise unknown(f"option of {name}:", key, defaults)
    return {key: _convert(f"{name}[{key}]", text, defaults[key]) for key, text in given.items()}


def _configured(function: Any, skip: int, values: dict[str, Any]) -> Any:
    mine = {key: value for key, value in values.items() if key in keywords(function, skip)}
    return partial(function, **mine) if mine else function


def keywords(function: Any, skip: int) -> dict[str, Any]:
    """What a function takes by keyword, with the defaults; its first arguments are left out.

    Parameters whose default is not plain data cannot be chosen and are left out too.
    """
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return {p.name: p.default for p in parameters if type(p.default) in PLAIN}


def _convert(what: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"{what} takes true or false, not {text!r}.")
    try:
        return type(default)(text) if default is not None else text
    except ValueError:
        kind = type(default).__name__
        raise UserError(f"{what} takes a value of type {kind}, not {text!r}.") from None
