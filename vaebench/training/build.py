"""Builds a cell's networks, each part from its own sub-seed."""

from torch import nn

from vaebench.compute.random import seeded
from vaebench.config.cell import Cell
from vaebench.data.images import Images
from vaebench.models import critic as critics
from vaebench.models.likelihoods import likelihood
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.lookup import backbone

#: The most channels of the critic's first layer, those of Isola et al. 2017.
_CRITIC = 64


def build(cell: Cell, variant: Variant, images: Images) -> tuple[VAE, nn.Module | None]:
    """The model and the critic with their initial weights, each part from its own sub-seed.

    Encoder, decoder and critic depend on the cell's seed and shapes, not on the variant.
    """
    with seeded(cell.seed, "backbone"):
        encoder, decoder = backbone(cell.backbone).build(images.shape, cell.latent, cell.width)
    with seeded(cell.seed, "posterior"):
        posterior = variant.posterior(cell.latent, encoder.features)
    with seeded(cell.seed, "critic"):
        critic = critics.build(cell.critic, images.shape, min(2 * cell.width, _CRITIC))
    model = VAE(encoder, posterior, decoder, likelihood(cell.likelihood, images.levels))
    return model, critic
