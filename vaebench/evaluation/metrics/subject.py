"""What is evaluated: a trained model on held-out images, each costly thing computed once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import generator, seeded
from vaebench.data.batches import EVALUATION_SEED, condition, items_of, observed, some_of
from vaebench.data.conditions import whole
from vaebench.data.dataset import Dataset, subset
from vaebench.data.images import Images, Split
from vaebench.data.mapped import release
from vaebench.data.observation import grey
from vaebench.data.text import Text
from vaebench.evaluation.features.cache import Real, real
from vaebench.evaluation.features.extractor import Extractor, chosen, extractor
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.models.distributions import closed_kl, sampled
from vaebench.models.draw import Draw
from vaebench.models.items import Items
from vaebench.models.items import items as as_items
from vaebench.models.metric import Metric, Unavailable
from vaebench.models.objectives import elbo
from vaebench.models.samplers import fitted
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry import lookup

#: Pictures at a time whose features are computed, and stored numbers of items that are met.
_ROWS, _NUMBERS = 2**13, 140_000_000
#: The most images on either side of a Fréchet distance.
MOST_IMAGES = 10_000
#: Draws from q for an expectation under it, and decoder passes in all above which they get fewer.
DRAWS = 32
PASSES = 20_000
#: The relative difference of features that rounding makes.
_SAME = 1e-6
#: What depends on the prior.
_OF_PRIOR = {"p", "closed_kl", "terms", "samples", "sample_features"}
T = TypeVar("T")


def usual_draws(images: int) -> int:
    """Draws from q for each of so many images."""
    return max(2, min(DRAWS, PASSES // images))


def _silent(what: str, done: int, total: int) -> None:
    pass


class Terms(NamedTuple):
    """The ELBO and its terms, each (N,) in nats; ELBO and KL are NaN where q has no density.

    Attributes:
        elbo: Evidence lower bound.
        log_px: E_q[log p(x|z)].
        kl: KL(q(z|x) || p(z)).
        elbo_error: Squared Monte Carlo standard error of the ELBO.
        draws: Draws for each image.
    """

    elbo: Tensor
    log_px: Tensor
    kl: Tensor
    elbo_error: Tensor
    draws: int


@dataclass
class Subject:
    """A trained model, the test images, and how much effort to spend on each number.

    Attributes:
        model: In evaluation mode, on the device to compute on.
        variant: Its deviations say which numbers mean nothing.
        images: The data set; its test split is what is measured.
        seed: Of the cell; evaluation noise is derived from it, the same for every variant.
        observation: Observation model and binarisation in words.
        extractor_name: Feature extractor for Fréchet distances.
        weights: Path of the extractor's weights, if it does not ship with them.
        download: Whether the extractor's weights may be fetched.
        iw_samples: K of the importance-weighted bound.
        iw_images: Number of test images (the first ones) for that bound.
        ais_images: Number of test images (the first ones) for AIS.
        ais_steps: Steps of its chains; None lets a pilot choose them for each image.
        ais_target: Nats that its standard errors, and the BDMC gap on images simulated from the
            model, shall stay below; None asks for the sampler's default error alone.
        ais_budget: Decoder gradients for each image that it may spend.
        ais_compile: Compile its steps.
        chunk: Decoder passes at once, of one output for each value of a pixel.
        draws: Draws from q for the ELBO of each test image; by default `usual_draws`.
        sampler: A distribution of codes to take the prior's place.
        tell: Told of how far a long computation is: what it is, what is done, and of how much.
    """

    model: VAE
    variant: Variant
    images: Dataset
    seed: int
    observation: str
    extractor_name: str
    weights: Path | None = None
    download: bool = False
    iw_samples: int = 256
    iw_images: int = 400
    ais_images: int = 64
    ais_steps: int | None = None
    ais_target: float | None = None
    ais_budget: int = 6000
    ais_compile: bool = False
    chunk: int = 4096
    draws: int | None = None
    sampler: Distribution | None = None
    tell: Callable[[str, int, int], None] = field(default=_silent, repr=False)
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    _under: "dict[str, Subject]" = field(default_factory=dict, init=False, repr=False)

    def once(self, make: "Callable[[Subject], T]") -> T:
        """What `make`, a function of the subject, returns; it is called once."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def remember(self, make: "Callable[[Subject], T]", value: T) -> None:
        """Have `once` return a value that is known from before."""
        self._made[make] = value

    def made(self, make: "Callable[[Subject], T]") -> T | None:
        """What `once` has returned for `make`, None where nobody has asked."""
        return self._made.get(make)

    def under(self, sampler: str) -> "Subject":
        """The same model with a sampler, fitted to the training images' codes, as its prior."""
        if sampler not in self._under:
            found = replace(self)
            shared = set(self.__dict__) - {f.name for f in fields(self)} - _OF_PRIOR
            found.__dict__.update({name: self.__dict__[name] for name in shared})
            with seeded(self.seed, "sampler", sampler):
                try:
                    found.sampler = fitted(lookup.sampler(sampler), *self._codes)
                except ValueError as error:
                    raise Unavailable(f"{sampler} cannot be fitted: {error}") from error
            self._under[sampler] = found
        return self._under[sampler]

    @property
    def others(self) -> "dict[str, Subject]":
        """What `under` has returned, by sampler."""
        return dict(self._under)

    @cached_property
    def _codes(self) -> tuple[Tensor, Distribution]:
        """A draw of each training image's posterior (N, D), and these posteriors."""
        with seeded(self.seed, "training codes"), torch.no_grad():
            parts = [self._features(items) for items in self.training_items()]
            q = self.model.posterior(torch.cat(parts))
            return q.sample(), q

    def _features(self, items: Items) -> Tensor:
        return torch.cat([self.model.features(some) for some in items.split(512)])

    @property
    def rows(self) -> int:
        """Decoder passes at once, fewer where a pixel takes several outputs."""
        return max(1, self.chunk // self.model.observation.rows)

    @cached_property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @cached_property
    def items(self) -> Items:
        """All test images as the model meets them, with their conditions (N, G) if any."""
        return self.meet(self.images.test, "test")

    @property
    def x(self) -> Tensor:
        """All test images as observed, (N, C, H, W)."""
        return self.items.x

    @property
    def pictured(self) -> Images:
        """The data set; Unavailable where it has no pictures."""
        if not isinstance(self.images, Images):
            raise Unavailable(f"it is of pictures, and the data set holds {self.images.noun}s")
        return self.images

    @property
    def pictures(self) -> Tensor:
        """All test images in [0, 1], (N, C, H, W), made anew each time."""
        return self.shown(slice(None))

    def shown(self, rows: slice) -> Tensor:
        """Some of the test images in [0, 1], (N, C, H, W)."""
        return grey(self.pictured.test.pixels[rows], self.images.levels).to(self.device)

    @cached_property
    def h(self) -> Tensor:
        """Encoder features (N, F), each image encoded once."""
        with torch.no_grad():
            return self._features(self.items)

    @cached_property
    def q(self) -> Distribution:
        """The posteriors of all test images, batch shape (N,)."""
        with torch.no_grad():
            return self.model.posterior(self.h)

    @cached_property
    def p(self) -> Distribution:
        """The prior of all test images, batch shape () or, where they have their own, (N,)."""
        return self.prior(self.items)

    def prior(self, items: Items) -> Distribution:
        """The prior of some items, or the sampler that takes its place."""
        return self.sampler or self.model.prior(items)

    @cached_property
    def closed_kl(self) -> bool:
        """Whether KL(q(z|x) || p(z)) has a closed form."""
        return closed_kl(self.q, self.p) is not None

    @cached_property
    def terms(self) -> Terms:
        """The ELBO and its terms at all test images, from the same draws."""
        return self.terms_of(self.items, "draws", self.draws)

    def terms_of(self, x: Items | Tensor, purpose: str, draws: int | None = None) -> Terms:
        """The ELBO and its terms for N items; `purpose` seeds the draws."""
        x = as_items(x)
        draws = draws or usual_draws(len(x))
        parts = []
        with seeded(self.seed, purpose), torch.no_grad():
            for some in x.split(max(1, self.rows // draws)):
                draw = self.model.draw(some, draws, stratified=False)
                parts.append((elbo(draw), draw.mean(draw.log_px), draw.kl, self._error(draw)))
        bound, log_px, kl, error = (torch.cat(values) for values in zip(*parts, strict=True))
        return Terms(bound, log_px, kl, error, draws)

    def _error(self, draw: Draw) -> Tensor:
        """Squared standard errors (B,) of the ELBO over the draws."""
        values = draw.log_px if self.closed_kl else draw.log_px - draw.rate
        return values.var(0) / len(values)

    def decoded(self, z: Tensor, items: Items | None = None) -> Tensor:
        """Decoder means (N, C, H, W) in [0, 1] for latents (N, D), under the items' conditions.

        They are by default those of the test images in turn.

        Raises:
            Unavailable: The model is not one of pictures.
        """
        _ = self.pictured
        whole, count = (self.items, len(self.x)) if items is None else (items, len(z))
        with torch.no_grad():
            return torch.cat(
                [
                    self.model.pictures(z[rows], whole[rows % count])
                    for rows in torch.arange(len(z), device=self.device).split(self.rows)
                ]
            )

    def completed(self, pictures: Tensor, split: Split | None = None) -> Tensor:
        """Pictures (N, C, H, W) of the first test images, or of a split, beside what is given.

        They are as they were where the condition is no picture.
        """
        given = (split or self.images.test).given
        if given is None:
            return pictures
        known = condition(given[: len(pictures)], self.images.levels)
        return whole(pictures, known.to(pictures.device))

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
            return self.decoded(sampled(self.prior(self.items[:count]), count))

    @cached_property
    def extractor(self) -> Extractor:
        """The feature extractor; UserError if its weights cannot be had."""
        return extractor(
            self.extractor_name,
            weights=self.weights,
            download=self.download,
            known=chosen(self.extractor_name),
        )

    @cached_property
    def sample_features(self) -> Tensor:
        """Features (N, F) of the samples."""
        return self.extractor(self.completed(self.samples))

    @cached_property
    def reconstruction_features(self) -> Tensor:
        """Features (N, F) of the reconstructions."""
        return self.extractor(self.completed(self.reconstructions[:MOST_IMAGES]))

    @cached_property
    def real(self) -> Real:
        """Features of the test images; Unavailable where they are the same for all of them."""
        count = min(len(self.x), MOST_IMAGES)
        found = self._features_of("test", self.pictured.test, count)
        spread = found.features.amax(0) - found.features.amin(0)
        if (spread <= _SAME * found.features.abs().amax(0)).all():
            raise Unavailable("the features of all test images are the same: they measure nothing")
        return found

    @cached_property
    def training(self) -> Real:
        """Features of as many training images as there are test images, or all if fewer."""
        return self.training_features(min(len(self.real.features), len(self.images.train)))

    def training_features(self, count: int) -> Real:
        """Features of the first `count` training images."""
        return self._features_of("train", self.pictured.train, count)

    def _features_of(self, name: str, split: Split, count: int) -> Real:
        """Features of the first `count` images of a split."""
        parts = [
            subset(split, slice(start, min(start + _ROWS, count)))
            for start in range(0, count, _ROWS)
        ]

        def read() -> Iterator[Tensor]:
            for some in parts:
                yield self.completed(grey(some.pixels, self.images.levels).to(self.device), some)
                release()

        return self._real(f"{name}[:{count}]", read)

    @cached_property
    def noise(self) -> Real:
        """Features of independent uniform pixels, as many pictures as there are test images."""
        count = len(self.real.features)

        def draw() -> Tensor:
            random = generator(EVALUATION_SEED, "uniform pixels")
            noise = torch.rand((count, *self.pictured.shape), generator=random)
            return self.completed(noise.to(self.device))

        return self._real(f"noise[:{count}]", draw)

    def _real(self, part: str, images: Callable[[], Tensor | Iterable[Tensor]]) -> Real:
        return real(self.extractor, self.data, part, images)

    @cached_property
    def data(self) -> str:
        """Hash of the data set."""
        return self.images.hash()

    def observe(self, split: Split, purpose: str) -> Tensor:
        """Images (N, C, H, W) of any split as observed; `purpose` seeds the noise."""
        return observed(split, self.model.likelihood, purpose).to(self.device)

    def meet(self, split: Split, purpose: str) -> Items:
        """Images of any split as the model meets them; `purpose` seeds the noise."""
        met = items_of(split, self.model.likelihood, purpose).to(self.device)
        with torch.no_grad():
            return self.model.see(met)

    def means(self, x: Items | Tensor) -> Tensor:
        """Posterior means (N, D) of N items, float64 on the CPU."""
        x = as_items(x)
        return self._means([x], len(x))

    def training_means(self) -> Tensor:
        """Posterior means (N, D) of the training items, float64 on the CPU."""
        return self._means(self.training_items(), len(self.images.train))

    def training_items(self) -> Iterator[Items]:
        """The training items as the model meets them, as many at a time as memory is for."""
        split = self.images.train
        # Conditions go through networks, whose last digits depend on how many they are.
        numbers = _ROWS * 1024 if split.given is None else _NUMBERS
        rows = max(1, numbers // max(1, split.stored[:1].numel() * 512)) * 512
        for met in some_of(split, self.model.likelihood, "train", rows):
            with torch.no_grad():
                yield self.model.see(met.to(self.device))

    def _means(self, items: Iterable[Items], count: int) -> Tensor:
        with seeded(self.seed, "means"), torch.no_grad():
            draws = 256 if count <= 5000 else 64
            parts = [
                posterior_means(self.model.encode(some), draws)[0]
                for each in items
                for some in each.split(512)
            ]
        return torch.cat(parts).double().cpu()

    def column(self, metric: Metric) -> str:
        """The name of a metric's column."""
        return metric.column(self.extractor_name, self.iw_samples)

    def depends(self, **more: Any) -> dict[str, Any]:
        """What every likelihood depends on, and more."""
        given: dict[str, Any] = {"given": self.images.given} if self.images.given else {}
        if isinstance(self.images, Text):
            given |= {"vocabulary": len(self.images.vocabulary)}
        if self.images.elements:
            given |= {"elements": self.images.elements}
        return {"observation": self.observation, **given, **more}
