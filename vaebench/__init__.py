"""A fair test bench for variational autoencoders.

The public names are loaded on first use, so that `import vaebench` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vaebench.backbones import Backbone as Backbone
    from vaebench.data import Images as Images
    from vaebench.data import Request as Request
    from vaebench.data import Source as Source
    from vaebench.data import Split as Split
    from vaebench.hookspecs import hookimpl as hookimpl
    from vaebench.loading import load as load
    from vaebench.objectives import Draw as Draw
    from vaebench.objectives import elbo as elbo
    from vaebench.objectives import iwae as iwae
    from vaebench.posterior import Gaussian as Gaussian
    from vaebench.posterior import Posterior as Posterior
    from vaebench.posterior import Variant as Variant

_HOME = {
    "Backbone": "backbones",
    "Draw": "objectives",
    "Gaussian": "posterior",
    "Images": "data",
    "Posterior": "posterior",
    "Request": "data",
    "Source": "data",
    "Split": "data",
    "Variant": "posterior",
    "elbo": "objectives",
    "hookimpl": "hookspecs",
    "iwae": "objectives",
    "load": "loading",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vaebench' has no attribute {name!r}")
    return getattr(import_module(f"vaebench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
