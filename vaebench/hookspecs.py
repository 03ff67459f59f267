"""What a plugin may implement: the whole surface, on one page."""

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from vaebench.posterior import Variant

#: Major version of the plugin interface; a plugin may name its own as `vaebench_interface`.
INTERFACE = 1

hookspec = pluggy.HookspecMarker("vaebench")
hookimpl = pluggy.HookimplMarker("vaebench")


@hookspec
def vaebench_variants() -> "list[Variant]":  # type: ignore[empty-body]
    """Return the variants that this plugin adds, one for each row of the table."""
