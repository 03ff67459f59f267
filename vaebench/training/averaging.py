"""An exponential moving average of a model's weights."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vaebench.errors import UserError
from vaebench.models.vae import VAE


def average(model: VAE, decay: float) -> AveragedModel:
    """A model whose parameters follow those of `model`, from each `update_parameters` to the next.

    The first update copies the parameters θ_1; the t-th sets a_t = decay · a_{t-1} +
    (1 - decay) · θ_t. Buffers, such as running statistics, are copied and not averaged.

    Raises:
        UserError: The model cannot be copied.

    References:
        Polyak & Juditsky 1992, doi 10.1137/0330046 (averaging); torch.optim.swa_utils.
    """
    try:
        found = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    except RuntimeError as error:
        raise UserError(
            f"The model cannot be copied for --ema: {' '.join(str(error).split()):.300}; make what "
            "it holds parameters or buffers, or leave out --ema."
        ) from error
    found.requires_grad_(False)
    return found
