"""Options of a variant: what a constructor takes by keyword, and `name[option=value]`."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vaebench.config.names import spell
from vaebench.errors import UserError, unknown
from vaebench.models.variant import Variant

if TYPE_CHECKING:
    pass


def options(variant: Variant) -> dict[str, Any]:
    """The options of a variant with their defaults."""
    found = _keywords(variant.posterior, 2)
    for term in (variant.objective, *variant.penalties.values()):
        found |= _keywords(term, 1)
    return found | {"samples": variant.samples}


def configure(variant: Variant, chosen: Mapping[str, str]) -> Variant:
    """The variant with options set, named ``name[option=value,…]`` in alphabetical order.

    Raises:
        UserError: An option does not exist, or its value is not of the default's type.
    """
    defaults = options(variant)
    values: dict[str, Any] = {}
    for key, text in chosen.items():
        if key not in defaults:
            raise unknown(f"option of {variant.name}:", key, defaults)
        values[key] = _convert(f"{variant.name}[{key}]", text, defaults[key])
    if values.get("samples", 1) < 1:
        raise UserError(f"{variant.name}[samples] must be 1 or more.")
    return replace(
        variant,
        name=spell(variant.name, values),
        samples=values.get("samples", variant.samples),
        posterior=_configured(variant.posterior, 2, values),
        objective=_configured(variant.objective, 1, values),
        penalties={key: _configured(term, 1, values) for key, term in variant.penalties.items()},
    )


def _configured(function: Any, skip: int, values: dict[str, Any]) -> Any:
    mine = {key: value for key, value in values.items() if key in _keywords(function, skip)}
    return partial(function, **mine) if mine else function


def _keywords(function: Any, skip: int) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


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
