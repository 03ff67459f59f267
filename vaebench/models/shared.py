"""Networks of the model that a variant's functions may call without owning them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Shared:
    """A network of the model for a variant to call, whose parameters stay the model's own.

    Args:
        network: The network.
        call: What is called in its place, where the network takes more than a variant knows.

    Example:
        >>> holder = nn.Module()
        >>> holder.encoder = Shared(nn.Linear(2, 3))
        >>> holder.encoder(torch.zeros(4, 2)).shape, list(holder.parameters())
        (torch.Size([4, 3]), [])
    """

    def __init__(self, network: nn.Module, call: Callable[[Tensor], Tensor] | None = None) -> None:
        self.network = network
        self.call = call or network

    def __call__(self, x: Tensor) -> Tensor:
        """The network's output in its present mode, with a gradient to its parameters."""
        found: Tensor = self.call(x)
        return found

    def evaluated(self, x: Tensor) -> Tensor:
        """Its output as evaluation sees it (no dropout, running statistics), with the gradient."""
        training = self.network.training
        self.network.eval()
        try:
            return self(x)
        finally:
            self.network.train(training)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's parameters."""
        return self.network.parameters()


class _Waves(nn.Module):
    """Latents (N, D) to outputs (N, C, H, W), in the precision of the latents."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, shape[0] * shape[1] * shape[2]))
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        sums = z.sum(-1, keepdim=True)
        return (sums * self.scale.to(z.dtype)).sin().unflatten(-1, self.shape)


def stand_ins(context: int) -> dict[str, Any]:
    """What variants may ask for (`FACTS`), where one of F = `context` features is tried alone.

    F is a multiple of 2. No random number is drawn.
    """
    shape = (1, 2, context // 2)
    return {
        "items": 1000,
        "context": context,
        "given": 0,
        "classes": 3,
        "labelled": 100,
        "elements": 2,
        "members": 10,
        "parts": (context // 2, context // 2),
        "encoder": Shared(nn.Flatten()),
        "decoder": Shared(_Waves(shape)),
        "shape": shape,
        "outputs": 1,
        "expected": torch.sigmoid,
        "score": lambda outputs, x: -(outputs.sigmoid() - x).square().flatten(-3).sum(-1),
    }
