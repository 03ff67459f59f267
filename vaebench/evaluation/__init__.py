"""Metrics: functions from images, draws or log-likelihoods to numbers with a unit.

The public names are loaded on first use. What estimates likelihoods needs torch and no other part
of vaebench: it works for any decoder.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaebench.evaluation.annealing.ais import ais as ais
    from vaebench.evaluation.annealing.bdmc import Bracket as Bracket
    from vaebench.evaluation.annealing.bdmc import bdmc as bdmc
    from vaebench.evaluation.annealing.bdmc import certified as certified
    from vaebench.evaluation.annealing.estimate import Estimate as Estimate
    from vaebench.evaluation.annealing.kernels import Kernel as Kernel
    from vaebench.evaluation.functional.importance import importance_bound as importance_bound
    from vaebench.evaluation.functional.importance import importance_curve as importance_curve

_HOME = {
    "Bracket": "annealing.bdmc",
    "Estimate": "annealing.estimate",
    "Kernel": "annealing.kernels",
    "ais": "annealing.ais",
    "bdmc": "annealing.bdmc",
    "certified": "annealing.bdmc",
    "importance_bound": "functional.importance",
    "importance_curve": "functional.importance",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vaebench.evaluation' has no attribute {name!r}")
    return getattr(import_module(f"vaebench.evaluation.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
