"""What a plugin may implement: the whole surface, on one page."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from torch import nn

    from vaebench.config.space import Choice, Range
    from vaebench.data.images import Source
    from vaebench.models.backbones import Backbone
    from vaebench.models.likelihoods import Likelihood
    from vaebench.models.metric import Metric
    from vaebench.models.samplers import Sampler
    from vaebench.models.variant import Variant

#: Major version of the plugin interface; a plugin may name its own as `vaebench_interface`.
INTERFACE = 1
#: Of entry points.
GROUP = "vaebench"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def vaebench_variants() -> "list[Variant]":  # type: ignore[empty-body]
    """Return the variants that this plugin adds, one for each row of the table."""


@hookspec
def vaebench_search_spaces() -> "dict[str, dict[str, Range | Choice]]":  # type: ignore[empty-body]
    """Return by variant the options that ``vaebench tune`` tries, each a `Range` or `Choice`.

    For variants that declare none with `Variant.search`, whoever brings them: a plugin's code is
    part of its cells' names, and spaces of another file change none of these.
    """


@hookspec
def vaebench_datasets() -> "dict[str, Source]":  # type: ignore[empty-body]
    """Return data sets by name, for ``--dataset``.

    The name ``a`` also answers to ``a:PATH``; the reader then finds that path in its request.
    """


@hookspec
def vaebench_backbones() -> "dict[str, Backbone]":  # type: ignore[empty-body]
    """Return pairs of encoder and decoder by name, for ``--backbone``.

    Every variant of a run is trained with the same pair; nothing about it may depend on the
    variant.
    """


@hookspec
def vaebench_likelihoods() -> "dict[str, type[Likelihood]]":  # type: ignore[empty-body]
    """Return observation models by name, subclasses of `Likelihood`, for ``--likelihood``.

    What the constructor takes by keyword beside `levels` is chosen as ``name[option=value]``.
    """


@hookspec
def vaebench_samplers() -> "dict[str, Sampler]":  # type: ignore[empty-body]
    """Return samplers by name, for ``--sampler``: priors that are fitted after training.

    Each is a function of codes (N, D), a draw of each training image's posterior, that returns a
    distribution of batch shape () and event shape (D,). Its other parameters are options, but for
    `posteriors`: a function that names it is given the posteriors themselves. Without a
    `log_prob` there are samples and no likelihood.
    """


@hookspec
def vaebench_metrics() -> "list[Metric]":  # type: ignore[empty-body]
    """Return metrics, for ``--metrics``.

    They are computed where they are asked for by name, by group, by the plugin's name or with
    ``all``, after those of vaebench. Their code is then part of the cell's name, and one that
    fails costs its own number alone.
    """


@hookspec
def vaebench_features() -> "dict[str, Callable[[Path | None, bool], nn.Module]]":  # type: ignore[empty-body]
    """Return feature extractors by name, for distances such as `fid_<name>`.

    Each is a function of the path given as ``--fid-weights`` (or None) and of whether weights may
    be downloaded. It returns a module that maps images (B, C, H, W) in [0, 1] to features (B, F);
    if that has an attribute ``head``, a module from features to class logits, samples are also
    counted by class. Numbers carry a hash of the module's state and of the plugin's code.
    """
