"""From a cell's names to what they stand for: variant, data, and networks with initial weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaebench.compute import devices
from vaebench.compute.random import seeded
from vaebench.config.cell import Cell
from vaebench.config.resources import Place
from vaebench.data.conditions import shown
from vaebench.data.dataset import Dataset
from vaebench.data.images import Request
from vaebench.data.modalities import Modalities
from vaebench.data.sets import Sets
from vaebench.data.text import Text
from vaebench.errors import UserError
from vaebench.models import critic as critics
from vaebench.models.backbones import Shape
from vaebench.models.elements import EachElement, Elements, dimensions, shares
from vaebench.models.likelihoods import Likelihood
from vaebench.models.modalities import EachPart
from vaebench.models.modalities import Modalities as Modal
from vaebench.models.networks import brought
from vaebench.models.observation import Observation, Pixels
from vaebench.models.rival import Rival
from vaebench.models.shared import Shared
from vaebench.models.tokens import Tokens
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant, asked, informed
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import backbone, likelihood, load
from vaebench.registry.validation import check_networks
from vaebench.training.parts import choices

#: The most channels of the critic's first layer, those of Isola et al. 2017.
_CRITIC = 64
#: Pixels of a batch below which threads cost more by waiting for each other than they save.
_SMALL = 2**15
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Resolved:
    """A cell with what its names stand for.

    Attributes:
        cell: The cell.
        variant: Its posterior and objective, configured and told of the data.
        images: Its data.
        device: Where to compute.
        model: The model, with its initial weights until it is trained.
        critic: The critic with its initial weights, where the cell has one.
        rival: The rival with its initial weights, where the variant has one.
        labels: Classes (N,) of the training images that training may see, -1 where they are
            hidden, where some may be seen.
    """

    cell: Cell
    variant: Variant
    images: Dataset
    device: torch.device
    model: VAE
    critic: nn.Module | None
    rival: Rival | None
    labels: Tensor | None = None


def resolve(cell: Cell, place: Place, device: torch.device | None = None) -> Resolved:
    """Find what a cell's names stand for, read its data, and build its networks.

    Args:
        cell: The cell.
        place: Where its data are, and with how many threads to compute.
        device: Where to compute; by default the place's.

    Raises:
        UserError: Something is not installed or missing, or the data set has changed.
    """
    variant = catalogue().variant(cell.plugin)
    images = read(cell, place)
    set_threads(cell, images, place.threads)
    return build(cell, variant, images, device or devices.find(place.device))


def read(cell: Cell, place: Place) -> Dataset:
    """The data set of a cell; UserError where it is missing or has changed since planning."""
    images = load(cell.dataset, Request(place.root, place.download, cell.image_size))
    if images.hash() != cell.data:
        raise UserError(
            f"the data set {cell.dataset} has changed since the run was planned; start it again"
        )
    return images


def build(cell: Cell, variant: Variant, images: Dataset, device: torch.device = CPU) -> Resolved:
    """Build model, critic and rival with their initial weights, each part from its own sub-seed.

    Encoder, decoder, likelihood and critic depend on the cell's seed and shapes, not on the
    variant, unless it brings networks of its own; the encoder not on the likelihood either.
    """
    with seeded(cell.seed, "condition"):
        conditioner, told = _condition(cell, images)
    facts: dict[str, Any] = {
        "items": len(images.train),
        "shape": images.shape,
        "given": told,
        "classes": len(images.classes),
        "labelled": images.labelled or 0,
        "elements": images.elements,
        "members": images.members if isinstance(images, Sets) else 0,
    }
    made = (
        _several(cell, images)
        if isinstance(images, Modalities)
        else _single(cell, variant, images, facts)
    )
    encoder, observation = made.encoder, made.observation
    latent = _dimensions(cell, variant, images)
    features: Any = encoder.features
    context = features * (images.elements if _tells_apart(variant, images) else 1) + told
    variant = informed(
        variant,
        **facts,
        **made.facts,
        context=context,
        encoder=Shared(encoder),
        decoder=Shared(made.decoder, observation.alone),
    )
    with seeded(cell.seed, "posterior"):
        posterior = variant.posterior(latent, context)
    with seeded(cell.seed, "critic"):
        critic = critics.build(cell.critic, images.part, min(2 * cell.width, _CRITIC))
    with seeded(cell.seed, "rival"):
        codes = posterior.features if isinstance(images, Modalities) else latent
        rival = variant.rival and variant.rival(codes)
    if isinstance(observation, Modal):
        observation.tell(posterior.reads)
    model = VAE(encoder, posterior, observation, conditioner)
    if cell.decoder_of is not None:
        model.freeze()
    labels = None
    if images.labelled is not None and images.train.labels is not None:
        labels = shown(images.train.labels, images.labelled, cell.seed)
    return Resolved(cell, variant, images, device, model, critic, rival, labels)


class _Made(NamedTuple):
    """What all variants share of a model, and what they may ask of it (`FACTS`)."""

    encoder: nn.Module
    decoder: nn.Module
    observation: Observation
    facts: dict[str, Any]


def _single(cell: Cell, variant: Variant, images: Dataset, facts: Mapping[str, Any]) -> _Made:
    """The networks of items without parts, or of the elements of sets."""
    with seeded(cell.seed, "likelihood"):
        observed_as = likelihood(cell.likelihood, images.levels)
    said: dict[str, Any] = {
        "outputs": observed_as.outputs,
        "expected": observed_as.mean,
        "score": observed_as.log_prob,
        "parts": (),
    }
    encoder, decoder = _networks(cell, variant, images.part, {**facts, **said})
    if isinstance(images, Sets):
        encoder = EachElement(encoder, pooled=not _tells_apart(variant, images))
    observation = _observation(cell, variant, images, decoder, observed_as)
    return _Made(encoder, decoder, observation, said)


def _several(cell: Cell, images: Modalities) -> _Made:
    """The networks of items of several parts, each part with its own."""
    chosen = choices(images, cell.backbone, cell.width, cell.likelihood)
    with seeded(cell.seed, "likelihood"):
        observed_as = {n: c.observed(images.like[n].levels) for n, c in chosen.items()}
    with seeded(cell.seed, "backbone"):
        pairs = {
            name: choice.networks.networks(
                images.like[name].shape, cell.latent, choice.width, observed_as[name].outputs
            )
            for name, choice in chosen.items()
        }
    encoder = EachPart(images.layout, {name: pair[0] for name, pair in pairs.items()})
    parts = {
        name: _pixels_or_tokens(cell, images.like[name], decoder, observed_as[name])
        for name, (_, decoder) in pairs.items()
    }
    observation = Modal(images.layout, parts)
    said = {
        "outputs": 1,
        "expected": observation.expected,
        "score": observation.score,
        "parts": encoder.sizes,
    }
    return _Made(encoder, observation.decoder, observation, said)


def _networks(
    cell: Cell, variant: Variant, shape: Shape, facts: Mapping[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder: the variant's own where it brings them, else the backbone's.

    Raises:
        UserError: Those of the variant do not fit the images.
    """
    own = brought(variant, cell.latent, **facts)
    if own is not None:
        told = cell.latent + facts["given"]
        check_networks(own.title, own, shape, told, 1, facts["outputs"])
        with seeded(cell.seed, "backbone"):
            return own.build(shape, cell.latent, 1)
    with seeded(cell.seed, "backbone"):
        return backbone(cell.backbone).networks(
            shape, cell.latent + facts["given"], cell.width, facts["outputs"]
        )


def _tells_apart(variant: Variant, images: Dataset) -> bool:
    """Whether a variant's posterior is told the features of each element of a set."""
    return isinstance(images, Sets) and "elements" in asked(variant.posterior)


def _dimensions(cell: Cell, variant: Variant, images: Dataset) -> int:
    """The dimensions of z, which holds codes of elements where the posterior tells these apart."""
    if _tells_apart(variant, images):
        return dimensions(cell.latent, images.elements)
    return cell.latent


def _observation(
    cell: Cell, variant: Variant, images: Dataset, decoder: nn.Module, likelihood: Likelihood
) -> Observation:
    """What sees both z and the items of a data set's kind."""
    if not isinstance(images, Sets):
        return _pixels_or_tokens(cell, images, decoder, likelihood)
    latent = _dimensions(cell, variant, images)
    split = shares(latent, images.elements) if _tells_apart(variant, images) else (latent, 0)
    return Elements(Pixels(decoder, likelihood), images.elements, *split)


def _pixels_or_tokens(
    cell: Cell, images: Dataset, decoder: nn.Module, likelihood: Likelihood
) -> Observation:
    if isinstance(images, Text):
        return Tokens(decoder, likelihood, images.shape.length, images.end, cell.word_dropout)
    return Pixels(decoder, likelihood)


def _condition(cell: Cell, images: Dataset) -> tuple[nn.Module | None, int]:
    """What encodes conditions that are pictures, and G, how many numbers a condition comes to."""
    given = images.train.given
    if given is None:
        return None, 0
    if given.ndim == 2:
        return None, given.shape[1]
    channels, height, width = given.shape[1:]
    encoder, _ = backbone(cell.backbone).build((channels, height, width), cell.latent, cell.width)
    features: Any = encoder.features
    return encoder, features


def set_threads(cell: Cell, images: Dataset, available: int) -> None:
    """Let torch compute with the threads that there are, or with one where items are small."""
    sides = images.shape if isinstance(images, Modalities) else images.shape[1:]
    small = cell.batch_size * math.prod(sides) < _SMALL
    torch.set_num_threads(1 if small else available)
