"""Settings and recipes as YAML: numbers mean there what they mean on the command line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from vaebench.config.settings import Settings, to_dict
from vaebench.errors import UserError

#: Characters that are read of a file.
_LARGEST = 2**20
#: What plain scalars are in YAML 1.2: by tag, their form and what they may begin with. YAML 1.1,
#: which PyYAML reads, takes 010 for 8, 1:30 for 90, no for false, and 1e-3 for a text.
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
_TAG = "tag:yaml.org,2002:"


class _Twice(yaml.MarkedYAMLError):
    """A key that a mapping has already."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012
    yaml_constructors = {  # noqa: RUF012
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (None, *(_TAG + kind for kind in ("null", "str", "seq", "map")))
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in lines:
                problem = f"{key.value} is set already in line {lines[key.value]}"
                raise _Twice(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what either version of YAML would take for a number or the like."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Line breaks of any alphabet survive between double quotes alone."""
    return dumper.represent_scalar(_TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text)


def _scalar(convert: Callable[[str], Any]) -> Callable[[yaml.SafeLoader, Any], Any]:
    def construct(loader: yaml.SafeLoader, node: Any) -> Any:
        text = str(loader.construct_scalar(node))
        try:
            return convert(text)
        except (ValueError, KeyError):
            problem = f"{text[:80]!r} cannot be read as {node.tag.removeprefix(_TAG)}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    return construct


for _kind, (_form, _first) in _SCALARS.items():
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_form})\Z"), _first)
_Loader.add_constructor(_TAG + "int", _scalar(int))
_Loader.add_constructor(
    _TAG + "float", _scalar(lambda text: float(re.sub(r"\.(?=[in])", "", text.lower())))
)
_Loader.add_constructor(
    _TAG + "bool", _scalar(lambda text: {"true": True, "false": False}[text.lower()])
)


def read(path: Path, what: str = "--config") -> tuple[dict[str, Any], dict[str, int]]:
    """The settings in a YAML file, and the line that each of them stands on.

    Args:
        path: The file.
        what: What an error calls it.

    Raises:
        UserError: The file cannot be read or is not a mapping, or has a key twice; the error names
            the line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise UserError(f"{what} {path} is larger than {_LARGEST >> 20} MiB; give another.")
        loader = _Loader(text)
        tree = loader.get_single_node()
        if not isinstance(tree, yaml.MappingNode):
            raise UserError(f"{what} {path} holds no settings; a run's config.yaml shows the form.")
        found = loader.construct_document(tree)
        lines = {
            loader.construct_object(key, deep=True): key.start_mark.line + 1
            for key, _ in tree.value
        }
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except _Twice as error:
        raise UserError(f"{path}, line {_line(error)}: {error.problem}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {_line(error)}" if error.problem_mark else ""
        raise UserError(f"{what} {path}{line} is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{what} {path} is not YAML: {problem}.") from error
    return found, lines


def _line(error: yaml.MarkedYAMLError) -> int:
    return error.problem_mark.line + 1 if error.problem_mark else 0


def dump(settings: Settings) -> str:
    """The text of a run's ``config.yaml``, from which `read` makes the same settings."""
    return yaml.dump(to_dict(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
