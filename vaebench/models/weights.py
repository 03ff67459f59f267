"""The weights of a module as safetensors, a tensor that has several names kept once."""

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from vaebench.errors import UserError


def pack(module: nn.Module, about: Mapping[str, str]) -> bytes:
    """The state of a module as a safetensors file with the metadata `about`.

    Of names for the same memory the first is written; `complete` finds the others again.

    Raises:
        UserError: The state holds what such a file cannot.
    """
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"The weights cannot be saved: {name!r} is a {type(value).__name__}; make what is "
                "to be kept a parameter or a buffer."
            )
    repeated = _repeated(state)
    try:
        kept = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in state.items()
            if name not in repeated
        }
        return save(kept, dict(about))
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise UserError(
            f"The weights cannot be saved as safetensors: {error!s:.300}; make what is to be kept "
            "dense parameters or buffers of an ordinary dtype."
        ) from error


def complete(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The whole state of a module from weights that `pack` kept; None where they do not fit."""
    state = module.state_dict()
    repeated = _repeated(state)
    whole = {_present(name, state): value for name, value in weights.items()}
    for name, first in repeated.items():
        if name not in whole and first in whole:
            whole[name] = whole[first]
    fits = _forms(whole) == _forms(state)
    return whole if fits else None


def verify(module: nn.Module) -> None:
    """Write the weights and read them back, in memory; UserError where a later run could not."""
    whole = complete(module, load(pack(module, {})))
    if whole is None:
        raise UserError("The weights cannot be saved: written and read back, they do not fit.")
    try:
        module.load_state_dict(whole)
    except RuntimeError as error:
        raise UserError(
            f"The weights cannot be read back: {' '.join(str(error).split()):.300}; make what is "
            "to be kept parameters or buffers with a place in memory for every element."
        ) from error


def _present(name: str, state: Mapping[str, Tensor]) -> str:
    """What a weight is called now; older versions had the observation model's at the top."""
    inside = f"observation.{name}"
    return inside if name not in state and inside in state else name


def _repeated(state: Mapping[str, Tensor]) -> dict[str, str]:
    """For each name of a tensor that has an earlier one, that first name."""
    first: dict[object, str] = {}
    repeated = {}
    for name, value in state.items():
        if value.layout != torch.strided or value.numel() == 0 or value.data_ptr() == 0:
            continue
        same = (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device)
        if same in first:
            repeated[name] = first[same]
        else:
            first[same] = name
    return repeated


def _forms(state: Mapping[str, Tensor]) -> dict[str, object]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}
