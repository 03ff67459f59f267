"""What comes with vaebench besides variants, through the same hooks as anyone's."""

from vaebench.data.builtin import SOURCES
from vaebench.data.images import Source
from vaebench.hookspecs import hookimpl
from vaebench.models.backbones import BACKBONES, Backbone
from vaebench.models.likelihoods import LIKELIHOODS, Likelihood
from vaebench.models.samplers import SAMPLERS, Sampler


@hookimpl
def vaebench_datasets() -> dict[str, Source]:
    """The data sets of `vaebench.data`."""
    return SOURCES


@hookimpl
def vaebench_backbones() -> dict[str, Backbone]:
    """The pairs of networks of `vaebench.backbones`."""
    return BACKBONES


@hookimpl
def vaebench_likelihoods() -> dict[str, type[Likelihood]]:
    """The observation models of `vaebench.models.likelihoods`."""
    return LIKELIHOODS


@hookimpl
def vaebench_samplers() -> dict[str, Sampler]:
    """The samplers of `vaebench.models.samplers`."""
    return SAMPLERS
