"""VampPrior: the prior is a mixture of the posteriors of learned pseudo-inputs."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench import Gaussian, Shared, Variant, hookimpl


class VampPrior(Gaussian):
    """The Gaussian posterior q(z|h), against p(z) = Σ_k π_k q(z|h_k).

    The h_k are learned: as features, or as those that the encoder finds in K learned inputs. It
    sees these as in evaluation, so that p(z) is one distribution whatever it does in training.

    Args:
        features: D, the number of latent dimensions.
        context: F, the number of encoder features.
        components: K.
        pseudo: What is learned: `features` (K, F), or `inputs` (K, C, H, W) within (0, 1).
        encoder: The shared encoder.
        shape: (C, H, W) of an image.

    Raises:
        ValueError: No component, or a word for `pseudo` that there is not.

    References:
        Tomczak & Welling 2018, VAE with a VampPrior, arXiv 1705.07120, eq. 9; the weights π_k,
        uniform there, are learned here.
    """

    def __init__(
        self,
        features: int,
        context: int,
        components: int = 32,
        pseudo: str = "features",
        *,
        encoder: Shared,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__(features, context)
        if components < 1:
            raise ValueError(f"A mixture has at least one component, not {components}.")
        shapes = {"features": (context,), "inputs": tuple(shape)}
        if pseudo not in shapes:
            raise ValueError(f"pseudo is one of {', '.join(shapes)}, not {pseudo!r}.")
        self.encoder = encoder if pseudo == "inputs" else None
        self.pseudo = nn.Parameter(torch.randn(components, *shapes[pseudo]))
        self.logits = nn.Parameter(torch.zeros(components))

    def prior(self) -> Distribution:
        """The mixture of the K posteriors."""
        from vaebench_plugins.mixture_prior import GaussianMixture

        h: Tensor = self.pseudo
        if self.encoder is not None:
            h = self.encoder.evaluated(h.sigmoid())
        return GaussianMixture(self.logits, self(h))


@hookimpl
def vaebench_variants() -> list[Variant]:
    """The VampPrior with learned features; `vampprior[pseudo=inputs]` learns images."""
    return [
        Variant(
            "vampprior",
            VampPrior,
            reference="Tomczak & Welling 2018, arXiv 1705.07120",
            family="priors",
            description="A prior that is a mixture of posteriors, p(z) = Σ π_k q(z|u_k), of "
            "learned pseudo-inputs u_k.",
        )
    ]
