"""Metrics: functions from images, draws or log-likelihoods to numbers with a unit.

The public names are loaded on first use. What estimates likelihoods needs torch and no other part
of vaebench: it works for any decoder.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaebench.evaluation.bounds import importance_bound as importance_bound
    from vaebench.evaluation.bounds import importance_curve as importance_curve
    from vaebench.evaluation.bracket import Bracket as Bracket
    from vaebench.evaluation.bracket import bdmc as bdmc
    from vaebench.evaluation.bracket import certified as certified
    from vaebench.evaluation.evidence import Estimate as Estimate
    from vaebench.evaluation.evidence import ais as ais
    from vaebench.evaluation.kernels import Kernel as Kernel

_HOME = {
    "Bracket": "bracket",
    "Estimate": "evidence",
    "Kernel": "kernels",
    "ais": "evidence",
    "bdmc": "bracket",
    "certified": "bracket",
    "importance_bound": "bounds",
    "importance_curve": "bounds",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vaebench.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"vaebench.evaluation.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
