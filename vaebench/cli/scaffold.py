"""Writes a small installable package for a new variant."""

import re
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from vaebench._version import __version__
from vaebench.errors import UserError
from vaebench.hookspecs import GROUP, INTERFACE

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write(name: str, parent: Path) -> Path:
    """Write the package ``vaebench-<name>`` into a folder of that name.

    Raises:
        UserError: The name is none for a package or taken already, or the folder exists or cannot
            be written.
    """
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise UserError(
            f"{name!r} is not a name for a variant; take lower-case letters and digits, - between."
        )
    if _taken(name):
        raise UserError(
            f"The name {name!r} is taken by what is installed; choose another, unlike those of "
            "`vaebench list`."
        )
    folder = parent / f"vaebench-{name}"
    if folder.exists():
        raise UserError(f"{folder} exists already; choose another name, or another --out.")
    module = _module(name)
    values = {
        "name": name,
        "module": module,
        "class_": "".join(part.capitalize() for part in name.split("-")),
        "version": __version__,
        "interface": INTERFACE,
    }
    templates = files("vaebench.cli") / "templates"
    for template, target in {
        "pyproject.toml.in": "pyproject.toml",
        "README.md.in": "README.md",
        "module.py.in": f"{module}.py",
        "test_module.py.in": f"tests/test_{module}.py",
    }.items():
        path = folder / target
        text = Template((templates / template).read_text("utf-8")).substitute(values)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}); choose another --out."
            ) from error
    return folder


def _module(name: str) -> str:
    return f"vaebench_{name.replace('-', '_')}"


def _taken(name: str) -> bool:
    """Whether a plugin, a variant or a module of that name would hide the new one, or be hidden."""
    if name in {"all", GROUP, *entry_points(group=GROUP).names} or find_spec(_module(name)):
        return True
    from vaebench.registry.catalogue import catalogue

    return name in catalogue().names()
