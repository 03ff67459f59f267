"""What comes with vaebench besides variants, through the same hooks as anyone's."""

from vaebench.backbones import BACKBONES, Backbone
from vaebench.data import SOURCES, Source
from vaebench.hookspecs import hookimpl


@hookimpl
def vaebench_datasets() -> dict[str, Source]:
    """The data sets of `vaebench.data`."""
    return SOURCES


@hookimpl
def vaebench_backbones() -> dict[str, Backbone]:
    """The pairs of networks of `vaebench.backbones`."""
    return BACKBONES
