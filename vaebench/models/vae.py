"""The model that every variant shares: encoder, posterior, decoder and observation model."""

from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench.compute.ranks import ALONE, Ranks
from vaebench.models.draw import Draw, draw, fixed
from vaebench.models.likelihoods import Likelihood
from vaebench.models.posterior import Posterior


class VAE(nn.Module):
    """p(z) p(x|z) with an amortised posterior q(z|x).

    Args:
        encoder: Images (B, C, H, W) to features (B, F).
        posterior: Features to q(z|x), with its prior.
        decoder: Latents (N, D) to outputs (N, M·C, H, W), M for each value of a pixel.
        likelihood: Outputs and observations to log p(x|z).
    """

    def __init__(
        self, encoder: nn.Module, posterior: Posterior, decoder: nn.Module, likelihood: Likelihood
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.decoder = decoder
        self.likelihood = likelihood

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x) for observations x (B, C, H, W)."""
        return self.posterior(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Outputs (..., M·C, H, W) for latents (..., D)."""
        return self.decoder(z.flatten(0, -2)).unflatten(0, z.shape[:-1])

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (K, B) in nats for z (K, B, D) and x (B, C, H, W)."""
        return self.likelihood.log_prob(self.decode(z), x)

    def pictures(self, z: Tensor) -> Tensor:
        """Decoder means (..., C, H, W) in [0, 1] for latents (..., D)."""
        return self.likelihood.mean(self.decode(z))

    def draw(
        self, x: Tensor, samples: int, *, stratified: bool = True, ranks: Ranks = ALONE
    ) -> Draw:
        """K draws for observations x (B, C, H, W), with all their densities.

        Where several ranks share a batch, x is this rank's part, and the draws are of the whole.
        """
        return self.draw_decoded(x, samples, stratified=stratified, ranks=ranks)[0]

    def draw_decoded(
        self, x: Tensor, samples: int, *, stratified: bool = True, ranks: Ranks = ALONE
    ) -> tuple[Draw, Tensor]:
        """A draw with the outputs (K, B, M·C, H, W) that its log p(x|z) was computed from."""
        h = ranks.whole(self.encoder(x))
        outputs: list[Tensor] = []

        def log_px(z: Tensor) -> Tensor:
            decoded = self.decode(ranks.mine(z, 1))
            if not outputs:
                outputs.append(decoded)
            return ranks.whole(self.likelihood.log_prob(decoded, x), 1)

        found = draw(
            self.posterior(h),
            self.posterior.prior(),
            log_px,
            samples,
            stratified=stratified,
            fixed=fixed(self.posterior, h, [self.decoder, self.likelihood], log_px),
        )
        return found._replace(h=h), outputs[0]
