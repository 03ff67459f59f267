"""A fair test bench for variational autoencoders.

The public names are loaded on first use, so that `import vaebench` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vaebench._version import __version__

if TYPE_CHECKING:
    from vaebench.config.space import Choice as Choice
    from vaebench.config.space import Range as Range
    from vaebench.data.images import Images as Images
    from vaebench.data.images import Request as Request
    from vaebench.data.images import Source as Source
    from vaebench.data.images import Split as Split
    from vaebench.data.modalities import Modalities as Modalities
    from vaebench.data.modalities import aligned as aligned
    from vaebench.data.sets import Sets as Sets
    from vaebench.data.text import Sentences as Sentences
    from vaebench.data.text import Text as Text
    from vaebench.evaluation.metrics.subject import Subject as Subject
    from vaebench.hookspecs import hookimpl as hookimpl
    from vaebench.models.backbones import Backbone as Backbone
    from vaebench.models.chain import Chain as Chain
    from vaebench.models.draw import Draw as Draw
    from vaebench.models.elements import shares as shares
    from vaebench.models.items import Seen as Seen
    from vaebench.models.likelihoods import Likelihood as Likelihood
    from vaebench.models.metric import Measurement as Measurement
    from vaebench.models.metric import Metric as Metric
    from vaebench.models.metric import Unavailable as Unavailable
    from vaebench.models.objectives import elbo as elbo
    from vaebench.models.objectives import iwae as iwae
    from vaebench.models.posterior import Gaussian as Gaussian
    from vaebench.models.posterior import Posterior as Posterior
    from vaebench.models.rival import Rival as Rival
    from vaebench.models.shared import Shared as Shared
    from vaebench.models.variant import Variant as Variant
    from vaebench.notebook import Run as Run
    from vaebench.notebook import load as load
    from vaebench.notebook import read as read

_HOME = {
    "Backbone": "models.backbones",
    "Chain": "models.chain",
    "Choice": "config.space",
    "Draw": "models.draw",
    "Gaussian": "models.posterior",
    "Images": "data.images",
    "Likelihood": "models.likelihoods",
    "Measurement": "models.metric",
    "Metric": "models.metric",
    "Modalities": "data.modalities",
    "Posterior": "models.posterior",
    "Range": "config.space",
    "Request": "data.images",
    "Rival": "models.rival",
    "Run": "notebook",
    "Seen": "models.items",
    "Sentences": "data.text",
    "Sets": "data.sets",
    "Shared": "models.shared",
    "Source": "data.images",
    "Split": "data.images",
    "Subject": "evaluation.metrics.subject",
    "Text": "data.text",
    "Unavailable": "models.metric",
    "Variant": "models.variant",
    "aligned": "data.modalities",
    "elbo": "models.objectives",
    "hookimpl": "hookspecs",
    "iwae": "models.objectives",
    "load": "notebook",
    "read": "notebook",
    "shares": "models.elements",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vaebench' has no attribute {name!r}")
    return getattr(import_module(f"vaebench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
