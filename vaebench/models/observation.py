"""p(x|z) with its decoder: the only part of a model that sees both z and x."""

from typing import Any

from torch import Tensor, nn

from vaebench.models.likelihoods import Likelihood


class Observation(nn.Module):
    """Decoder and likelihood in one: what a kind of item brings beside its encoder.

    What the decoder says of the items is its `outputs`; everything else is read from them, so that
    nothing has to be decoded twice.
    """

    @property
    def rows(self) -> int:
        """What one item's outputs take, in those of a picture with one output for each value."""
        return 1

    def outputs(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """What the decoder says (..., B, …) for latents (..., B, D), of x where it reads it."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it decodes to.")

    def alone(self, z: Tensor) -> Tensor:
        """What the decoder says (N, …) for latents (N, D) alone."""
        return self.outputs(z)

    def score(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (..., B) in nats of items x (B, …), from the outputs for z."""
        raise NotImplementedError(f"{type(self).__name__} does not say what p(x|z) is.")

    def expected(self, outputs: Tensor) -> Tensor:
        """The expected pictures (..., B, C, H, W) in [0, 1], from the outputs for z."""
        raise NotImplementedError(f"{type(self).__name__} has no pictures.")

    def drawn(self, outputs: Tensor) -> Tensor:
        """A draw of x (..., B, …), from the outputs for z."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to draw x.")

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (K, B) in nats for latents (K, B, D) and items (B, …)."""
        return self.score(self.outputs(z, x), x)

    def mean(self, z: Tensor) -> Tensor:
        """The expected pictures (..., C, H, W) in [0, 1] for latents (..., D)."""
        return self.expected(self.outputs(z))

    def sample(self, z: Tensor) -> Tensor:
        """Draws of x (..., …) for latents (..., D), one for each."""
        return self.drawn(self.outputs(z))


class Pixels(Observation):
    """Pictures x (B, C, H, W).

    Args:
        decoder: Latents (N, D) to outputs (N, M·C, H, W), M for each value of a pixel.
        likelihood: Outputs and observations to log p(x|z).

    Example:
        >>> import torch
        >>> from vaebench.models.likelihoods import Bernoulli
        >>> decoder = nn.Sequential(nn.Linear(3, 4), nn.Unflatten(-1, (1, 2, 2)))
        >>> pixels = Pixels(decoder, Bernoulli(2))
        >>> pixels.log_prob(torch.zeros(6, 5, 3), torch.ones(5, 1, 2, 2)).shape
        torch.Size([6, 5])
    """

    def __init__(self, decoder: nn.Module, likelihood: Likelihood) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood

    @property
    def rows(self) -> int:
        """M."""
        return self.likelihood.outputs

    def outputs(self, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Outputs (..., M·C, H, W) for latents (..., D)."""
        found: Any = self.decoder(z.flatten(0, -2))
        return found.unflatten(0, z.shape[:-1])

    def score(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (..., B) in nats, summed over pixels."""
        return self.likelihood.log_prob(outputs, x)

    def expected(self, outputs: Tensor) -> Tensor:
        """Decoder means (..., C, H, W) in [0, 1]."""
        return self.likelihood.mean(outputs)

    def drawn(self, outputs: Tensor) -> Tensor:
        """Draws of x (..., C, H, W)."""
        return self.likelihood.sample(outputs)
