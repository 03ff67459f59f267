"""The model that every variant shares: encoder, posterior, decoder and observation model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaebench.compute.ranks import ALONE, Ranks
from vaebench.models.draw import Draw, draw, fixed
from vaebench.models.items import Items, items
from vaebench.models.modalities import Modalities
from vaebench.models.observation import Observation
from vaebench.models.posterior import OfParts, Posterior, knows_parts, pairs, prior_of


class VAE(nn.Module):
    """p(z|y) p(x|z, y) with an amortised posterior q(z|x, y); the condition y may be nothing.

    A condition goes to the posterior beside the encoder's features, and to the decoder beside z.

    Args:
        encoder: Items (B, …) to features (B, F).
        posterior: Features (B, F + G) to q, with its prior.
        observation: Latents (…, D + G) and items to log p(x|z, y).
        conditioner: Conditions that are pictures (B, C, H, W) to (B, G), where they are pictures.

    Attributes:
        frozen: Whether decoder and likelihood are not trained.
    """

    def __init__(
        self,
        encoder: nn.Module,
        posterior: Posterior,
        observation: Observation,
        conditioner: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.observation = observation
        self.conditioner = conditioner
        self.frozen = False

    def freeze(self) -> None:
        """Keep decoder and likelihood as they are: without gradients, as in evaluation."""
        self.frozen = True
        self.observation.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "VAE":
        """Set the mode of all networks but those that are frozen."""
        super().train(mode)
        if self.frozen:
            self.observation.eval()
        return self

    @property
    def decoder(self) -> nn.Module:
        """The decoder of pictures."""
        found: Any = self.observation.decoder
        return found

    @property
    def likelihood(self) -> Any:
        """What the decoder's outputs say of the pixels, or of each part."""
        return self.observation.likelihood

    def see(self, x: Items | Tensor) -> Items:
        """The items with their condition as (B, G)."""
        batch = items(x)
        given = batch.seen.given
        if given is None or given.ndim == 2 or self.conditioner is None:
            return batch
        return Items(batch.x, replace(batch.seen, given=self.conditioner(given)))

    def features(self, x: Items | Tensor) -> Tensor:
        """What the posterior is told (B, F + G) of the items and of their condition."""
        batch = self.see(x)
        h: Tensor = self.encoder(batch.x)
        return h if batch.seen.given is None else torch.cat([h, batch.seen.given], -1)

    def encode(self, x: Items | Tensor) -> Distribution:
        """q(z|x), batch shape (B,), event shape (D,)."""
        return self.posterior(self.features(x))

    def prior(self, x: Items | None = None) -> Distribution:
        """p(z), batch shape (); of posteriors whose prior depends on the condition p(z|y), (B,)."""
        given = None if x is None else self.see(x).seen.given
        return prior_of(self.posterior, given)

    def log_likelihood(self, z: Tensor, x: Items | Tensor) -> Tensor:
        """log p(x|z) (K, B) in nats for z (K, B, D) and items."""
        batch = self.see(x)
        return self.observation.log_prob(beside(z, batch.seen.given), batch.x)

    def decode(self, z: Tensor, x: Items | None = None) -> Any:
        """The decoder's outputs (..., M·C, H, W) for latents (..., D), under the items' condition.

        With a condition the latents are (..., B, D).
        """
        return self.observation.outputs(self.told(z, x))

    def pictures(self, z: Tensor, x: Items | None = None) -> Tensor:
        """Decoder means (..., C, H, W) in [0, 1] for latents (..., D), or (..., B, D) as above."""
        return self.observation.mean(self.told(z, x))

    def simulated(self, z: Tensor, x: Items | None = None) -> Tensor:
        """Draws of x (..., C, H, W) for latents (..., D), or (..., B, D) as above."""
        return self.observation.sample(self.told(z, x))

    def of_parts(self, parts: Sequence[int]) -> "VAE":
        """The model of some parts of items alone, which it is told whole all the same.

        It has log p(x_S|z), and q(z|x_S) where the posterior infers z from some parts; else q(z|x).

        Args:
            parts: S, the numbers of the parts from 0 on.

        Raises:
            TypeError: Items have no parts.
        """
        if not isinstance(self.observation, Modalities):
            raise TypeError("Items have no parts.")
        posterior = (
            OfParts(self.posterior, parts) if knows_parts(self.posterior) else self.posterior
        )
        seeing = self.observation.seeing(parts)
        return VAE(self.encoder, posterior, seeing, self.conditioner)

    def told(self, z: Tensor, x: Items | None) -> Tensor:
        """What the decoder is told (..., D + G): latents, and the items' condition if any."""
        return z if x is None else beside(z, self.see(x).seen.given)

    def draw(
        self,
        x: Items | Tensor,
        samples: int,
        *,
        stratified: bool = True,
        paired: bool = False,
        ranks: Ranks = ALONE,
    ) -> Draw:
        """K draws for B items, with all their densities.

        Where several ranks share a batch, x is this rank's part, what is known of labels and
        places is of the whole batch, and so are the draws, but for their outputs.

        Args:
            x: The items.
            samples: K, for each stratum of a stratified posterior.
            stratified: Whether such a posterior draws from all of its strata.
            paired: Whether the draws are from what the posterior's `pair` says, as in training,
                instead of from q(z|x) and p(z).
            ranks: Who shares the batch.
        """
        mine = self.see(x)
        seen = mine.seen
        if seen.given is not None:
            seen = replace(seen, given=ranks.whole(seen.given))
        h = ranks.whole(self.features(mine))
        posterior = self.posterior
        paired = paired and pairs(posterior)

        def law(h: Tensor) -> Distribution:
            return posterior.pair(h, seen)[0] if paired else posterior(h)

        q, p = (
            posterior.pair(h, seen) if paired else (posterior(h), prior_of(posterior, seen.given))
        )
        score = _Score(self.observation, mine, ranks)

        def drawn(q: Distribution, score: _Score, law: Callable[[Tensor], Distribution]) -> Draw:
            held = [self.observation, self.encoder]
            found = draw(
                q,
                p,
                score,
                samples,
                stratified=stratified,
                fixed=fixed(posterior, h, held, score, law),
            )
            return found._replace(h=h, seen=seen, outputs=score.outputs, each=score.each)

        def redraw(parts: Sequence[int]) -> Draw:
            def some(h: Tensor) -> Distribution:
                return posterior.of_parts(h, parts)

            return drawn(some(h), _Score(self.observation, mine, ranks, parts), some)

        found = drawn(q, score, law)
        return found if found.each is None else found._replace(redraw=redraw)


class _Score:
    """log p(x|z) (K, B) of z (K, B, D), which keeps what the first z came to.

    Args:
        observation: Decoder and likelihood.
        items: This rank's items.
        ranks: Who shares the batch.
        only: The numbers of the parts that count, where items have some; all if None.

    Attributes:
        outputs: What the decoder said.
        each: log p(x_m|z) (M, K, B) of all parts, where items have some.
    """

    def __init__(
        self,
        observation: Observation,
        items: Items,
        ranks: Ranks,
        only: Sequence[int] | None = None,
    ) -> None:
        self.observation, self.items, self.ranks, self.only = observation, items, ranks, only
        self.outputs: Any = None
        self.each: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        x, observation = self.items.x, self.observation
        told = beside(self.ranks.mine(z, 1), self.items.seen.given)
        outputs = observation.outputs(told, x)
        each, first = None, self.outputs is None
        if isinstance(observation, Modalities):
            each = self.ranks.whole(observation.each(outputs, x), 2)
            value = (each if self.only is None else each[list(self.only)]).sum(0)
        else:
            value = self.ranks.whole(observation.score(outputs, x), 1)
        if first:
            self.outputs, self.each = outputs, each
        return value


def beside(z: Tensor, given: Tensor | None) -> Tensor:
    """Latents (..., B, D) with the condition (B, G) beside them, (..., B, D + G)."""
    if given is None or not given.shape[-1]:
        return z
    return torch.cat([z, given.expand(*z.shape[:-1], -1)], -1)
