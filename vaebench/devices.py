"""The device to compute on."""

import torch

from vaebench.errors import UserError


def find(name: str) -> torch.device:
    """The device of that name, ``auto`` being the accelerator if there is one, else the CPU.

    Raises:
        UserError: It does not exist here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(accelerator.type if accelerator else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"--device {name} cannot be used here ({str(error).splitlines()[0]}); take auto or cpu."
        ) from error


def describe(device: torch.device) -> str:
    """The device's name for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
