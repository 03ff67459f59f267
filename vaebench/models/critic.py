"""PatchGAN critic: tells real pictures from decoder means, patch by patch, whatever the variant."""

from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm


class PatchGAN(nn.Module):
    """Pictures (N, C, H, W) in [0, 1] to a map of logits (N, 1, h, w), one for each patch.

    The number of strided layers follows the shorter side of the image: one below 32 pixels, two
    from 32 and three from 64 on. A logit sees a patch of 8×8, 18×18 or 38×38 pixels.

    References:
        Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks,
        arXiv 1611.07004, sec. 3.2.2; spectral normalisation: Miyato et al. 2018, arXiv 1802.05957.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        strided = min(3, max(1, (min(shape[1:]) // 16).bit_length()))
        layers: list[nn.Module] = []
        inputs = shape[0]
        for level in range(strided):
            outputs = width * 2**level
            layers += [
                spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(inputs, 1, 3, padding=1)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures to logits of being real."""
        return self.layers(2 * pictures - 1)


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of the critic's logits for real and fake pictures: a scalar in nats."""
    return softplus(-real).mean() + softplus(fake).mean()


def decoder_loss(fake: Tensor) -> Tensor:
    """What the decoder minimises against the critic (non-saturating): a scalar in nats.

    References:
        Goodfellow et al. 2014, arXiv 1406.2661, sec. 3.
    """
    return softplus(-fake).mean()


CRITICS: dict[str, type[nn.Module] | None] = {"none": None, "patchgan": PatchGAN}


def build(name: str, shape: tuple[int, int, int], width: int) -> nn.Module | None:
    """The critic of that name for pictures of a shape (C, H, W); None for ``none``."""
    kind = CRITICS[name]
    return None if kind is None else kind(shape, width)
