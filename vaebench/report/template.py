"""The templates of pages, compiled once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import jinja2

ASSETS = Path(__file__).parent / "assets"


@cache
def template(name: str, **filters: Callable[[str], object]) -> jinja2.Template:
    """A template of the assets that escapes what it shows, with filters of its own."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
