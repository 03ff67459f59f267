"""From settings to cells: every choice resolved and checked before any training."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from vaebench.compute.memory import free
from vaebench.config.cell import MEASURED, SETTINGS, Cell, Evaluation, Task
from vaebench.config.effort import USUAL, filled
from vaebench.config.names import expand, parse
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.data.dataset import Dataset
from vaebench.data.images import Request
from vaebench.data.modalities import Modalities
from vaebench.data.validation import explained
from vaebench.errors import UserError, unknown
from vaebench.evaluation.features.extractor import EXTRACTORS, lacking
from vaebench.evaluation.metrics.select import check_kinds, select
from vaebench.execution import frozen
from vaebench.models.backbones import Shape
from vaebench.models.items import Kind
from vaebench.models.likelihoods import Takes
from vaebench.models.variant import NEEDS
from vaebench.registry.catalogue import Catalogue, catalogue
from vaebench.registry.lookup import backbone, likelihood, load, located, parts, source
from vaebench.registry.validation import check_likelihood, check_networks
from vaebench.runs.frozen import asked
from vaebench.training.free_bits import separates_kl
from vaebench.training.kl_schedules import kl_schedule
from vaebench.training.optimisers import model_optimiser, usual_decay
from vaebench.training.parts import choices

#: Bytes a pixel of a batch that any network keeps at least: 16 numbers, there and back.
_KEPT = 64
#: The settings that cells are combined from, the last ones varying fastest.
AXES = (
    *(s for s in SETTINGS if s.axis and s.name not in ("plugin", "seed")),
    *(s for s in SETTINGS if s.name in ("plugin", "seed")),
)


def resolve(
    settings: Settings, place: Place
) -> tuple[Settings, tuple[Task, ...], dict[str, tuple[str, ...]]]:
    """Resolve settings into tasks, reading each data set once to see that it is there.

    Returns:
        The settings with the names of variants and the paths of data sets spelled out, a task for
        each combination, and the notes on each data set that has some.

    Raises:
        UserError: Something asked for does not exist or cannot work.
    """
    settings.check()
    found = catalogue()
    places = tuple(dict.fromkeys(map(located, settings.dataset)))
    names = [spelled for item in settings.plugins for spelled in expand(item)]
    settings = replace(
        settings,
        dataset=places,
        plugins=tuple(found.select(names)),
        likelihood=_expanded(settings.likelihood),
        optimiser=_expanded(settings.optimiser),
        kl_schedule=_expanded(settings.kl_schedule),
    )
    decoder = None
    if settings.decoder_of is not None:
        decoder = frozen.frozen(asked(settings.decoder_of))
        settings = frozen.inherited(settings, decoder)
    if not settings.plugins:
        raise UserError("No variants to compare; see `vaebench list`.")
    select(settings.metrics, settings.sampler)
    known = {*EXTRACTORS, *found.extractors()}
    if settings.extractor is not None and settings.extractor not in known:
        raise unknown("feature extractor", settings.extractor, known)
    _check_memory(settings)
    datasets = {
        (name, size): load(name, Request(place.root, place.download, size))
        for name, size in product(settings.dataset, settings.image_size)
    }
    check_kinds(settings.metrics, {images.kind for images in datasets.values()})
    hashes = {key: images.hash() for key, images in datasets.items()}
    if decoder is not None:
        frozen.check_data(decoder, [(name, digest) for (name, _), digest in hashes.items()])
    extractors = {name: _extractor(settings, name, place) for name in settings.dataset}
    resolved = []
    left_out: dict[tuple[str, str], list[str]] = {}
    shared = {s.name: getattr(settings, s.asked) for s in SETTINGS if not s.axis}
    *axes, last = AXES
    assert last.name == "seed"
    for values in product(*(getattr(settings, axis.asked) for axis in axes)):
        choice = shared | {axis.name: value for axis, value in zip(axes, values, strict=True)}
        key = choice["dataset"], choice["image_size"]
        if lacking := _lacks(choice["plugin"], datasets[key], found):
            left_out.setdefault((choice["dataset"], lacking), []).append(choice["plugin"])
            continue
        choice["extractor"], _ = extractors[choice["dataset"]]
        one = _task(choice | {"seed": 0}, datasets[key], hashes[key], found)
        resolved += [one._replace(cell=replace(one.cell, seed=seed)) for seed in settings.seeds]
    unfit: list[str] = []
    if decoder is not None:
        images = next(iter(datasets.values()))
        resolved, others, unfit = frozen.fitting(resolved, decoder, images, found)
        settings = replace(settings, plugins=tuple(p for p in settings.plugins if p not in others))
    absent = {plugin: need for (_, need), gone in left_out.items() for plugin in gone}
    settings = _applicable(settings, [task.cell.plugin for task in resolved], absent, names, found)
    _check_parts([task.cell for task in resolved], datasets)
    _check_training([task.cell for task in resolved], found)
    notes = {name: images.notes for (name, _), images in datasets.items() if images.notes}
    for name, (_, note) in extractors.items():
        notes |= {name: (*notes.get(name, ()), note)} if note else {}
    for (name, need), gone in left_out.items():
        notes |= {name: (*notes.get(name, ()), _omission(need, gone))}
    if unfit:
        notes |= {name: (*notes.get(name, ()), *unfit) for name in settings.dataset}
    for name, note in _less_effort(settings, datasets):
        notes |= {name: (*notes.get(name, ()), note)}
    return settings, tuple(dict.fromkeys(resolved)), notes


def _lacks(plugin: str, images: Dataset, found: Catalogue) -> str:
    """What a variant needs of `NEEDS` and a data set lacks, empty if it can be had."""
    name = parse(plugin)[0]
    needs = () if name in found.broken else found.facts("variants", name).get("needs", ())
    lacking = {
        "labels": images.labelled is None,
        "pictures": images.kind != "pictures",
        "elements": not images.elements,
        "parts": images.kind != "modalities",
    }
    return next((need for need in needs if lacking[need]), "")


def _applicable(
    settings: Settings,
    planned: list[str],
    lacking: dict[str, str],
    names: list[str],
    found: Catalogue,
) -> Settings:
    """The settings without variants that no data set has what they need for, which is `lacking`.

    Raises:
        UserError: One of them was asked for by its name.
    """
    absent = [each for each in settings.plugins if each not in planned]
    named = found.select(name for name in names if parse(name)[0] != "all")
    for each in absent:
        if each in named:
            raise UserError(
                f"{each} needs {NEEDS[lacking[each]]}; choose such a data set, or leave it out."
            )
    return replace(settings, plugins=tuple(e for e in settings.plugins if e not in absent))


def _omission(need: str, plugins: list[str]) -> str:
    return f"Left out here: {', '.join(dict.fromkeys(plugins))}, for lack of {NEEDS[need]}."


def _less_effort(
    settings: Settings, datasets: dict[tuple[str, int | None], Dataset]
) -> Iterator[tuple[str, str]]:
    """The data sets on which AIS gets less than the usual effort, and what is to be said of it."""
    asked = {name: getattr(settings, name) for name in USUAL}
    used = any(set(USUAL) & set(metric.effort) for metric in select(settings.metrics))
    for (name, _), images in datasets.items():
        found = filled(asked, images.shape, len(images.train))
        if used and any(asked[key] is None and found[key] < USUAL[key] for key in USUAL):
            yield (
                name,
                f"AIS takes {found['ais_images']} images and at most {found['ais_budget']} "
                "gradients for each, so that evaluation takes no longer than training with the "
                "usual 40 epochs; --ais-images and --ais-budget ask for more.",
            )


def _check_memory(settings: Settings) -> None:
    """Raise UserError where one batch of pictures of the size asked for cannot be held."""
    room = free()
    for size in settings.image_size:
        need = _KEPT * min(settings.batch_size) * size**2 if size else 0
        if room is not None and need > room:
            raise UserError(
                f"--image-size {size}: a batch of {min(settings.batch_size)} pictures of {size} × "
                f"{size} pixels needs at least {need / 2**30:.1f} GiB, and {room / 2**30:.1f} GiB "
                "are free; take a smaller --image-size or --batch-size."
            )


def _extractor(settings: Settings, dataset: str, place: Place) -> tuple[str, str]:
    """The extractor for a data set, and what is to be said of it.

    Raises:
        UserError: One is asked for by name whose weights are not there.
    """
    name = settings.extractor or source(dataset).extractor
    used = any(metric.takes("extractor") for metric in select(settings.metrics))
    why = lacking(name, place.fid_weights, place.download) if used else ""
    if why and settings.extractor:
        raise UserError(why)
    if not why:
        return name, ""
    return "thumbnail", (
        f"FID and its kin are measured on thumbnails of 4 × 4 fields, which see light and colour "
        f"alone and are comparable within this run only. {why}"
    )


def _expanded(items: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Each spelling with alternatives as one for each, ``a[b=1|2]``; None stays."""
    return tuple(
        dict.fromkeys(each for item in items for each in (expand(item) if item else [item]))
    )


def _check_parts(cells: list[Cell], datasets: dict[tuple[str, int | None], Dataset]) -> None:
    """Raise UserError unless the networks and likelihoods of all cells fit their images."""
    networks: set[tuple[str, Shape, int, int, int]] = set()
    observations: set[tuple[str, int, Shape]] = set()
    for cell in cells:
        images = datasets[cell.dataset, cell.image_size]
        chosen = choices(images, cell.backbone, cell.width, cell.likelihood)
        for name, (built_by, width, seen_as) in chosen.items():
            part = images.like[name] if isinstance(images, Modalities) else images
            outputs = likelihood(seen_as, part.levels).outputs
            networks.add((built_by, part.part, cell.latent, width, outputs))
            observations.add((seen_as, part.levels, part.part))
    for spelled, levels, shape in sorted(observations):
        check_likelihood(spelled, likelihood(spelled, levels), shape)
    for name, shape, latent, width, outputs in sorted(networks):
        check_networks(f"the backbone {name!r}", backbone(name), shape, latent, width, outputs)


def _check_training(cells: list[Cell], found: Catalogue) -> None:
    """Raise UserError unless optimisers and KL schedules exist, and objectives honour free bits."""
    for spelled, warmup, epochs in dict.fromkeys(
        (c.kl_schedule, c.kl_warmup, c.epochs) for c in cells
    ):
        kl_schedule(spelled, warmup, epochs)
    for spelled, lr, decay in dict.fromkeys((c.optimiser, c.lr, c.weight_decay) for c in cells):
        with explained(f"The optimiser {spelled!r}"):
            weight = [torch.zeros(1, requires_grad=True)]
            model_optimiser(spelled, weight, lr, decay, fused=False)
    for plugin, latent in sorted({(cell.plugin, cell.latent) for cell in cells if cell.free_bits}):
        if parse(plugin)[0] not in found.broken and not _leaves_free(plugin, latent, found):
            raise UserError(
                f"--free-bits has no effect on {plugin}, whose objective does not take its KL from "
                "`draw.kl`: leave out one of the two."
            )


def _leaves_free(plugin: str, latent: int, found: Catalogue) -> bool:
    """Whether a variant honours free bits, as far as one can say: its own faults cost its cells."""
    try:
        return separates_kl(found.variant(plugin), latent)
    except Exception:
        return True


def _task(choice: dict[str, Any], images: Dataset, digest: str, found: Catalogue) -> Task:
    """The task of a choice of settings, with the data set's defaults where nothing is asked for."""
    defaults = source(choice["dataset"])
    built_by = choice["backbone"] or defaults.backbone
    chosen = backbone(built_by)
    spelled = choice["likelihood"] or defaults.likelihood
    takes = likelihood(spelled, images.levels).takes
    _check_kinds(choice, images, built_by, chosen.kind, spelled, takes)
    with explained(f"The backbone {built_by!r}"):
        for shape in (images.part, _condition(images)):
            if shape is not None:
                chosen.check(shape)
        width = choice["width"] or chosen.width(images.part)
    critic = choice["critic"] if images.kind == "pictures" else "none"
    resolved = {
        "backbone": built_by,
        "width": width,
        "critic": critic,
        "critic_weight": choice["critic_weight"] if critic != "none" else 0.0,
        "latent": choice["latent"] or defaults.latent,
        "likelihood": spelled,
        "binarise": _binarise(choice["binarise"], spelled, takes, defaults.binarise),
        "weight_decay": (
            usual_decay(choice["optimiser"])
            if choice["weight_decay"] is None
            else choice["weight_decay"]
        ),
        "seconds": choice["seconds"] if choice["budget"] == "seconds" else None,
    }
    whole = filled(choice | resolved, images.shape, len(images.train))
    evaluation = Evaluation(**{name: whole.pop(name) for name in MEASURED})
    return Task(Cell(**whole, data=digest, code=_code(found, whole)), evaluation)


def _check_kinds(
    choice: dict[str, Any], images: Dataset, built_by: str, kind: Kind, spelled: str, takes: Takes
) -> None:
    """Raise UserError unless networks, likelihood and settings are for what a data set holds."""
    of: Kind = "tokens" if takes == "tokens" else "pictures"
    for what, found in ((f"The backbone {built_by}", kind), (f"The likelihood {spelled}", of)):
        if found != images.made_of:
            raise UserError(
                f"{what} is one of {found}, and {choice['dataset']} holds {images.made_of}; leave "
                f"it out, or take one of {images.made_of}: `vaebench list` says which."
            )
    if images.real and takes != "real":
        raise UserError(
            f"The likelihood {spelled} is none of real numbers, which {choice['dataset']} holds; "
            "take --likelihood gaussian or laplace."
        )
    if choice["word_dropout"] and not images.has_text:
        raise UserError(f"--word-dropout is for text: leave it out with {choice['dataset']}.")


def _condition(images: Dataset) -> Shape | None:
    """The shape (C, H, W') of conditions that are pictures."""
    given = images.train.given
    return None if given is None or given.ndim < 4 else (*given.shape[1:],)


def _code(found: Catalogue, choice: dict[str, Any]) -> str:
    """Digests of a cell's code: its variant's, then those of what plugins bring beside it.

    What measures a cell does not train it, and is no part of this.
    """
    name = parse(choice["plugin"])[0]
    mine = "" if name in found.broken else found.owner(name).code
    others = [
        found.bringer("datasets", parts(choice["dataset"])[0]).code,
        found.bringer("backbones", choice["backbone"]).code,
        found.bringer("likelihoods", parse(choice["likelihood"])[0]).code,
    ]
    return "+".join([mine, *filter(None, others)])


def _binarise(asked: str | None, spelled: str, takes: Takes, default: str) -> str:
    binary = takes == "binary"
    if asked is None:
        return (default if default != "none" else "dynamic") if binary else "none"
    if binary and asked == "none":
        raise UserError(
            f"The likelihood {spelled!r} is one of binary pixels: leave out --binarise none, or "
            "take --likelihood gaussian, laplace or logistic."
        )
    if not binary and asked != "none":
        raise UserError(
            f"The likelihood {spelled!r} is one of grey pixels: leave out --binarise, or take "
            "--likelihood bernoulli."
        )
    return asked
