"""log p(x, z) and its gradient, in the coordinates of the annealing."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaebench.evaluation.latent_space import LatentSpace

LogLikelihood = Callable[[Tensor], Tensor]


def checked(value: Tensor, samples: int, batch: int) -> Tensor:
    """A log-likelihood of the right shape (samples, batch), or a ValueError that says which."""
    if tuple(value.shape) != (samples, batch):
        raise ValueError(
            f"log_likelihood returned shape {tuple(value.shape)} for z of {samples} draws and "
            f"{batch} images: it has to be ({samples}, {batch})."
        )
    return value


class Joint:
    """log p(x, z(u)) + log |dz/du| for B images, evaluated in slices that fit the memory budget.

    Args:
        log_likelihood: Maps z (K, B, D) to log p(x|z) (K, B), nats.
        space: The coordinates u.
        batch: B.
        memory: Bytes that one call of the decoder may keep for its gradient.

    Attributes:
        evaluations: Gradients of the decoder spent on each image so far (B,).
    """

    def __init__(
        self, log_likelihood: LogLikelihood, space: LatentSpace, batch: int, memory: float
    ) -> None:
        self.log_likelihood = log_likelihood
        self.space = space
        self.batch = batch
        self.evaluations = torch.zeros(batch, dtype=torch.long, device=space.device)
        self._memory = memory
        self._slice = 0

    def take(self, images: Tensor) -> "Joint | None":
        """The same for some of the images, where log_likelihood offers `subset(indices)`."""
        take = getattr(self.log_likelihood, "subset", None)
        return None if take is None else Joint(take(images), self.space, len(images), self._memory)

    def _value(self, u: Tensor) -> Tensor:
        z = self.space.to_z(u)
        return checked(self.log_likelihood(z), len(u), self.batch)

    def _gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        u = u.detach().requires_grad_()
        value = self._value(u)
        if not value.requires_grad:
            raise ValueError("log_likelihood has no gradient with respect to z: keep it attached.")
        (gradient,) = torch.autograd.grad(value.sum(), u)
        return value.detach().double(), gradient

    def _slices(self, u: Tensor) -> int:
        """Draws in a call, found by counting the bytes that one draw keeps for its gradient."""
        if not self._slice:
            kept = 0

            def count(tensor: Tensor) -> Tensor:
                nonlocal kept
                kept += tensor.numel() * tensor.element_size()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                self._gradient(u[:1])
            self._slice = max(1, int(self._memory / max(kept, 1)))
        return self._slice

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Values (K, B) in float64 and gradients (K, B, D) at u (K, B, D)."""
        self.evaluations += len(u)
        with torch.enable_grad():
            parts = [self._gradient(part) for part in u.split(self._slices(u))]
        value, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
        prior, slope = self.space.prior(u)
        return value + prior, gradient + slope
