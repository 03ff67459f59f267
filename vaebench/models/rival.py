"""What a plugin may bring beside a posterior: a second player on the codes."""

from typing import ClassVar

from torch import Tensor, nn

from vaebench.models.draw import Draw


class Rival(nn.Module):
    """A player on codes that learns beside the model, such as a discriminator of q(z) and p(z).

    In each step the model sees `term`, the rival's weights being held; then the rival takes a step
    on `loss` of the same draws, which carry no gradient to the model. It has an optimiser of its
    own: Adam at the model's learning rate. Random numbers that it draws change no others.

    Attributes:
        betas: Adam's β₁ and β₂.

    Example:
        >>> from torch.nn.functional import softplus
        >>> class Ratio(Rival):
        ...     def __init__(self, features):
        ...         super().__init__()
        ...         self.logit = nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))
        ...
        ...     def loss(self, draw):
        ...         code, prior = draw.one(), draw.p.sample(draw.z.shape[1:2])
        ...         return softplus(-self.logit(code)) + softplus(self.logit(prior))
        ...
        ...     def term(self, draw):
        ...         return self.logit(draw.one())
        >>> sum(p.numel() for p in Ratio(features=3).parameters())
        4
    """

    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    def loss(self, draw: Draw) -> Tensor:
        """What the rival minimises, (B,) nats: of draws without gradients, q and p for reading."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its loss is.")

    def term(self, draw: Draw) -> Tensor:
        """What is subtracted from the objective, (B,) nats: its gradient flows to the draws."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its term is.")
