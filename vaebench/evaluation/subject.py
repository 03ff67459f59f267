"""What is evaluated: a trained model on held-out images, each costly thing computed once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.batches import observed
from vaebench.data import Images
from vaebench.evaluation.features import Extractor, extractor
from vaebench.evaluation.frechet import Moments, moments
from vaebench.likelihoods import grey
from vaebench.model import VAE
from vaebench.objectives import elbo
from vaebench.posterior import Variant
from vaebench.seeds import seeded

#: The most images on either side of a Fréchet distance.
MOST_IMAGES = 10_000
#: Draws from q for an expectation under it.
DRAWS = 32


class Terms(NamedTuple):
    """The ELBO and its terms, each (N,) in nats; ELBO and KL are NaN where q has no density."""

    elbo: Tensor
    log_px: Tensor
    kl: Tensor


@dataclass
class Subject:
    """A trained model, the test images, and how much effort to spend on each number.

    Attributes:
        model: In evaluation mode, on the device to compute on.
        variant: Its deviations say which numbers mean nothing.
        images: The data set; only its test split is used.
        seed: Of the cell; evaluation noise is derived from it, the same for every variant.
        observation: Observation model and binarisation in words.
        extractor_name: Feature extractor for Fréchet distances.
        weights: Path of the extractor's weights, if it does not ship with them.
        download: Whether the extractor's weights may be fetched.
        iw_samples: K of the importance-weighted bound.
        ais_images: Number of test images (the first ones) for AIS.
        chunk: Decoder passes at once.
    """

    model: VAE
    variant: Variant
    images: Images
    seed: int
    observation: str
    extractor_name: str
    weights: Path | None = None
    download: bool = False
    iw_samples: int = 256
    ais_images: int = 64
    chunk: int = 4096

    @cached_property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @cached_property
    def x(self) -> Tensor:
        """All test images as observed, (N, C, H, W)."""
        return observed(self.images.test, self.model.likelihood, "test").to(self.device)

    @cached_property
    def pictures(self) -> Tensor:
        """All test images in [0, 1], (N, C, H, W)."""
        return grey(self.images.test.pixels, self.images.levels).to(self.device)

    @cached_property
    def h(self) -> Tensor:
        """Encoder features (N, F), each image encoded once."""
        with torch.no_grad():
            return torch.cat([self.model.encoder(x) for x in self.x.split(512)])

    @cached_property
    def q(self) -> Distribution:
        """The posteriors of all test images, batch shape (N,)."""
        with torch.no_grad():
            return self.model.posterior(self.h)

    @cached_property
    def p(self) -> Distribution:
        """The prior."""
        return self.model.posterior.prior()

    @cached_property
    def terms(self) -> Terms:
        """The ELBO and its terms at all test images, from the same draws."""
        parts = []
        with seeded(self.seed, "draws"), torch.no_grad():
            for x in self.x.split(max(1, self.chunk // DRAWS)):
                draw = self.model.draw(x, DRAWS, stratified=False)
                parts.append((elbo(draw), draw.mean(draw.log_px), draw.kl))
        return Terms(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def decoded(self, z: Tensor) -> Tensor:
        """Decoder means (N, C, H, W) in [0, 1] for latents (N, D)."""
        with torch.no_grad():
            return torch.cat([self.model.pictures(part) for part in z.split(self.chunk)])

    @cached_property
    def reconstructions(self) -> Tensor:
        """Decoder means of one draw from q for each test image, (N, C, H, W)."""
        with seeded(self.seed, "reconstructions"), torch.no_grad():
            return self.decoded(self.q.sample())

    @cached_property
    def samples(self) -> Tensor:
        """Decoder means of prior draws, as many as there are test images, (N, C, H, W)."""
        count = min(len(self.x), MOST_IMAGES)
        with seeded(self.seed, "samples"), torch.no_grad():
            return self.decoded(self.p.sample(torch.Size((count,))))

    @cached_property
    def extractor(self) -> Extractor:
        """The feature extractor; UserError if its weights cannot be had."""
        return extractor(self.extractor_name, weights=self.weights, download=self.download)

    @cached_property
    def real_moments(self) -> Moments:
        """Feature moments of the test images."""
        return moments(self.extractor(self.pictures[:MOST_IMAGES]))

    def depends(self, **more: Any) -> dict[str, Any]:
        """What every likelihood depends on, and more."""
        return {"observation": self.observation, **more}
