"""log p(x, z) and its gradient, in the coordinates of the annealing."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaebench.evaluation.annealing.latent_space import LatentSpace

_CACHE = 2.0**24  # bytes that one call keeps on a CPU: what its caches are good at
_DEVICE = 2.0**32  # bytes that one call keeps on a GPU
_ROWS = 512  # z that one call decodes at least, as far as they keep no more than
_MOST = 2.0**27  # bytes
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
        memory: Bytes that one call of the decoder may keep for its gradient; None to suit the
            device.

    Attributes:
        images: Numbers of the images among all that were asked for (B,).
        evaluations: Gradients of the decoder spent on each image so far (B,).
    """

    def __init__(
        self, log_likelihood: LogLikelihood, space: LatentSpace, batch: int, memory: float | None
    ) -> None:
        self.log_likelihood = log_likelihood
        self.space = space
        self.batch = batch
        self.images = torch.arange(batch)
        self.evaluations = torch.zeros(batch, dtype=torch.long, device=space.device)
        self._memory = memory
        self._kept = 0.0  # bytes for each z

    def take(self, images: Tensor) -> "Joint | None":
        """The density of some of the images, where log_likelihood offers `subset(indices)`."""
        take = getattr(self.log_likelihood, "subset", None)
        if take is None:
            return None
        part = Joint(take(images), self.space.take(images), len(images), self._memory)
        part.images, part._kept = self.images[images], self._kept
        return part

    def _value(self, u: Tensor) -> Tensor:
        z = self.space.z(u)
        return checked(self.log_likelihood(z), len(u), self.batch)

    def _gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        if torch.compiler.is_compiling():  # which follows this gradient, and not the other
            return self._functional_gradient(u)
        u = u.detach().requires_grad_()
        value = self._value(u)
        if not value.requires_grad:
            raise ValueError("log_likelihood has no gradient with respect to z: keep it attached.")
        (gradient,) = torch.autograd.grad(value.sum(), u)
        return value.detach().double(), gradient

    def _functional_gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        def total(u: Tensor) -> tuple[Tensor, Tensor]:
            value = self._value(u)
            return value.sum(), value

        gradient, value = torch.func.grad(total, has_aux=True)(u)
        return value.double(), gradient

    def _slices(self, u: Tensor) -> int:
        """Draws in a call, from the bytes that one draw is seen to keep for its gradient."""
        if not self._kept:

            def count(tensor: Tensor) -> Tensor:
                self._kept += tensor.numel() * tensor.element_size() / self.batch
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                self._gradient(u[:1])
            self.evaluations += 1
        memory, rows, each = self._memory, 1.0, max(self._kept, 1.0)
        if memory is None and u.device.type == "cpu":
            memory, rows = _CACHE, min(_ROWS, _MOST / each)
        elif memory is None:
            memory, rows = _DEVICE, _ROWS
        return max(1, int(max(memory / each, rows) / self.batch))

    def evaluate(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Values (K, B) in float64 and gradients (K, B, D) at u (K, B, D)."""
        self.evaluations += len(u)
        with torch.enable_grad():
            parts = [self._gradient(part) for part in u.split(self._slices(u))]
        value, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
        prior, slope = self.space.prior(u)
        return value + prior, gradient + slope

    def __call__(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x|z) and its slope, density 0 and no slope where the decoder overflows."""
        value, gradient = self.evaluate(u)
        return value.nan_to_num(nan=-torch.inf, posinf=-torch.inf), gradient.nan_to_num(0, 0, 0)
