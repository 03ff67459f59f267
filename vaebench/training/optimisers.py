"""The optimiser of the model by name, with its options spelled like those of anything else."""

import inspect
from collections.abc import Iterable

from torch import Tensor
from torch.optim import SGD, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from vaebench.config.names import parse
from vaebench.errors import unknown
from vaebench.registry.options import chosen, keywords

OPTIMISERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "radam": RAdam,
    "nadam": NAdam,
    "adamax": Adamax,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
#: What a setting of its own says, what the harness decides, and what would turn the sign.
_ASIDE = {
    *("weight_decay", "decoupled_weight_decay", "maximize"),
    *("foreach", "fused", "capturable", "differentiable"),
}


def model_optimiser(
    spelled: str, parameters: Iterable[Tensor], lr: float, weight_decay: float, *, fused: bool
) -> Optimizer:
    """The optimiser spelled ``adam``, ``sgd[momentum=0.9]``, …, otherwise with torch's defaults.

    Args:
        spelled: One of `OPTIMISERS`, with options that its constructor takes by keyword.
        parameters: What it changes.
        lr: The learning rate.
        weight_decay: As its constructor takes it: a part of the gradient, L2, but for adamw, whose
            decay is decoupled from it.
        fused: Whether to take one kernel for all parameters, where it has that.

    Raises:
        UserError: It does not exist, or has no such option.
        ValueError: torch refuses the options' values.
    """
    name, options = parse(spelled)
    kind = _kind(name)
    known = {key: value for key, value in keywords(kind, 2).items() if key not in _ASIDE}
    # torch writes some defaults of real numbers as 0.
    known = {key: 0.0 if type(value) is int else value for key, value in known.items()}
    values = {"lr": lr, "weight_decay": weight_decay} | chosen(name, options, known)
    if "fused" in inspect.signature(kind).parameters:
        values["fused"] = fused
    return kind(parameters, **values)


def usual_decay(spelled: str) -> float:
    """The weight decay that torch gives it by default; UserError if there is no such optimiser."""
    default = inspect.signature(_kind(parse(spelled)[0])).parameters["weight_decay"].default
    return float(default)


def _kind(name: str) -> type[Optimizer]:
    if name not in OPTIMISERS:
        raise unknown("optimiser", name, OPTIMISERS)
    return OPTIMISERS[name]
