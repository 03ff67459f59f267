"""From settings to cells: every choice resolved and checked before any training."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

from vaebench.backbones import backbone
from vaebench.config import Cell, Settings
from vaebench.critic import CRITICS
from vaebench.data import Images, Request, load, source
from vaebench.errors import UserError, unknown
from vaebench.evaluation.metrics import select
from vaebench.likelihoods import likelihood
from vaebench.plugins import Catalogue, catalogue
from vaebench.schedules import SCHEDULES
from vaebench.spelling import expand, parse
from vaebench.worker import Place

BINARISE = ("dynamic", "fixed", "none")


def cells(settings: Settings, place: Place) -> tuple[Settings, tuple[Cell, ...]]:
    """Resolve settings into cells, reading each data set once to see that it is there.

    Returns:
        The settings with the variants' names spelled out, and a cell for each combination.

    Raises:
        UserError: Something asked for does not exist or cannot work.
    """
    settings.check()
    found = catalogue()
    names = [spelled for item in settings.plugins for spelled in expand(item)]
    settings = replace(settings, plugins=tuple(found.select(names)))
    if not settings.plugins:
        raise UserError("No variants to compare; see `vaebench list`.")
    select(settings.metrics)
    if settings.lr_schedule not in SCHEDULES:
        raise unknown("learning-rate schedule", settings.lr_schedule, SCHEDULES)
    for critic in settings.critic:
        if critic not in CRITICS:
            raise unknown("critic", critic, CRITICS)
    datasets = {
        name: load(name, Request(place.root, place.download, settings.image_size))
        for name in settings.dataset
    }
    axes: Iterable[tuple[Any, ...]] = product(
        settings.dataset,
        settings.backbone,
        settings.likelihood,
        settings.critic,
        settings.latent,
        settings.plugins,
        settings.seeds,
    )
    hashes = {name: images.hash() for name, images in datasets.items()}
    return settings, tuple(
        _cell(settings, datasets[dataset], hashes[dataset], found, dataset, *rest)
        for dataset, *rest in axes
    )


def _cell(
    settings: Settings,
    images: Images,
    digest: str,
    found: Catalogue,
    dataset: str,
    backbone_name: str | None,
    spelled: str | None,
    critic: str,
    latent: int | None,
    plugin: str,
    seed: int,
) -> Cell:
    defaults = source(dataset)
    chosen = backbone(backbone_name or defaults.backbone)
    spelled = spelled or defaults.likelihood
    width = settings.width or chosen.width(images.shape)
    latent = latent or defaults.latent
    likelihood(spelled, images.levels)
    binarise = _binarise(settings.binarise, spelled, defaults.binarise)
    chosen.check(images.shape)
    name = parse(plugin)[0]
    return Cell(
        plugin=plugin,
        dataset=dataset,
        backbone=backbone_name or defaults.backbone,
        width=width,
        critic=critic,
        critic_weight=settings.critic_weight if critic != "none" else 0.0,
        latent=latent,
        likelihood=spelled,
        binarise=binarise,
        image_size=settings.image_size,
        seed=seed,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        lr_schedule=settings.lr_schedule,
        kl_warmup=settings.kl_warmup,
        evaluate=settings.evaluate,
        metrics=settings.metrics,
        ais_images=settings.ais_images,
        iw_samples=settings.iw_samples,
        extractor=defaults.extractor,
        data=digest,
        code="" if name in found.broken else found.owner(name).code,
    )


def _binarise(asked: str | None, spelled: str, default: str) -> str:
    if asked is not None and asked not in BINARISE:
        raise unknown("binarisation", asked, BINARISE)
    bernoulli = parse(spelled)[0] == "bernoulli"
    if asked is None:
        return (default if default != "none" else "dynamic") if bernoulli else "none"
    if bernoulli and asked == "none":
        raise UserError(
            "Grey pixels have no Bernoulli likelihood: leave out --binarise none, or take "
            "--likelihood gaussian, laplace or logistic."
        )
    if not bernoulli and asked != "none":
        raise UserError(
            f"The likelihood {spelled!r} is one of grey pixels: leave out --binarise, or take "
            "--likelihood bernoulli."
        )
    return asked
