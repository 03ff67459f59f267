"""Posteriors of a decoder that is trained already: which fit it, and the weights that they get.

The generative model of a trained cell, p(z) p(x|z), is frozen. log p(x) is then the same for all
variants, and what differs is how far each posterior's bound is below it: the inference gap of
Cremer et al. 2018, Inference Suboptimality in Variational Autoencoders, arXiv 1801.03558.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from vaebench.compute.random import seeded
from vaebench.config.cell import SETTINGS, Cell, Task
from vaebench.config.names import shown
from vaebench.config.settings import Settings
from vaebench.data.dataset import Dataset
from vaebench.errors import UserError
from vaebench.execution.restore import restore
from vaebench.models.distributions import alike
from vaebench.models.posterior import Posterior, prior_of
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.registry.catalogue import Catalogue
from vaebench.runs import records
from vaebench.runs.described import described
from vaebench.runs.frozen import KEPT, Asked
from vaebench.training.build import build

#: The settings of p(z) p(x|z).
_GENERATIVE = ("backbone", "width", "latent", "likelihood", "binarise", "image_size")
#: Why variants are left out.
_OWN_NETWORKS = "which bring networks of their own"
_LEARNED = "whose prior is learned"
_OTHER = "whose prior is another than the frozen one"


class Frozen(NamedTuple):
    """A trained cell whose decoder is frozen.

    Attributes:
        cell: The cell.
        model: Its model, in evaluation mode.
        name: ``<cell>@<digest>``, which depends on the weights and not on where they are.
    """

    cell: Cell
    model: VAE
    name: str


def frozen(where: Asked) -> Frozen:
    """The trained cell in a folder, once it is known that its decoder can be frozen.

    Raises:
        UserError: It has no trained model, it is damaged or not what was asked for, it models items
            under a condition or of several parts, or its variant learns the prior or brings
            networks of its own.
    """
    record = records.one(where.run, where.name)
    resolved = restore(where.run, record)
    known, refused = described(record), f"--decoder-of {where.name}: "
    if known.condition is not None or known.kind in ("sets", "modalities"):
        raise UserError(
            f"{refused}decoders are frozen of items without a condition, which are single pictures "
            "or texts; name a cell of such a data set."
        )
    if resolved.variant.networks is not None:
        raise UserError(
            f"{refused}{known.cell.plugin} brings networks of its own, which other variants cannot "
            "have; name a cell of another variant."
        )
    # What is restored has no gradients: whether a prior is trained shows where it is built anew.
    if learned(build(known.cell, resolved.variant, resolved.images).model.posterior):
        raise UserError(
            f"{refused}{known.cell.plugin} learns its prior, which belongs to its posterior; name "
            "a cell whose prior is fixed, such as one of gaussian or iwae."
        )
    found = digest(resolved.model.observation)
    if where.digest and found != where.digest:
        raise UserError(
            f"{refused}the weights in {where.path} are not those that are asked for, with the "
            f"digest {where.digest}; name the folder of the cell that has them."
        )
    return Frozen(known.cell, resolved.model, f"{where.name}@{found}")


def digest(module: nn.Module) -> str:
    """Sixteen hexadecimal digits that depend on a module's weights alone."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:16]


def learned(posterior: Posterior) -> bool:
    """Whether the density of a posterior's prior depends on anything that is trained."""
    with torch.enable_grad(), seeded(0, "learned prior"):
        p = prior_of(posterior)
        return bool(p.log_prob(p.sample(torch.Size((2,)))).requires_grad)


def inherited(settings: Settings, source: Frozen) -> Settings:
    """The settings of a run with those of its frozen decoder.

    Raises:
        UserError: Another is asked for, or one that has no effect without training the decoder.
    """
    found: dict[str, Any] = {"decoder_of": source.name}
    for setting in SETTINGS:
        if setting.name in _GENERATIVE:
            given, mine = getattr(settings, setting.asked), getattr(source.cell, setting.name)
            if given not in ((None,), (mine,)):
                words = "none" if mine is None else shown(mine)
                raise UserError(
                    f"{setting.flag} {','.join(map(shown, given))} is not that of the frozen "
                    f"decoder, which has {words}; leave it out."
                )
            found[setting.asked] = (mine,)
    if settings.critic != ("none",):
        raise UserError(
            "The critic trains the decoder, which is frozen; leave out --critic, or give --critic "
            "none."
        )
    if any(settings.word_dropout):
        raise UserError("--word-dropout trains the decoder, which is frozen; leave it out.")
    return replace(settings, **found)


def check_data(source: Frozen, hashes: Iterable[tuple[str, str]]) -> None:
    """Raise UserError unless data sets, each with its digest, are what the decoder was trained on.

    Args:
        source: The frozen decoder.
        hashes: Names of data sets with the digests of their images.
    """
    for name, digest in hashes:
        if digest != source.cell.data:
            raise UserError(
                f"{name} does not hold the data that the frozen decoder was trained on, those of "
                f"{source.cell.dataset} at that time; leave out --dataset, or freeze a decoder "
                "that was trained on what is there now."
            )


def fitting(
    tasks: Iterable[Task], source: Frozen, images: Dataset, found: Catalogue
) -> tuple[list[Task], set[str], list[str]]:
    """The tasks of variants that have the frozen prior, the other variants, and what is said of it.

    A variant that cannot be built is kept: its own cells fail, with what is wrong.

    Raises:
        UserError: None is left.
    """
    why: dict[str, str] = {}
    kept = []
    for task in tasks:
        name = task.cell.plugin
        if name not in why:
            why[name] = _unfit(task.cell, source, images, found)
        if not why[name]:
            kept.append(task)
    gone = {name for name, reason in why.items() if reason}
    said = [
        f"{', '.join(name for name in why if why[name] == reason)}, {reason}"
        for reason in dict.fromkeys(why.values())
        if reason
    ]
    if not kept:
        raise UserError(
            f"No variant is left that the decoder can be frozen for: without {'; '.join(said)}. "
            f"Choose variants whose prior is that of {source.cell.plugin}."
        )
    return kept, gone, [f"Left out here: {words}." for words in said]


def _unfit(cell: Cell, source: Frozen, images: Dataset, found: Catalogue) -> str:
    """Why a cell's variant cannot be trained with the frozen decoder; empty if it can."""
    try:
        variant: Variant = found.variant(cell.plugin)
        if variant.networks is not None:
            return _OWN_NETWORKS
        posterior = build(cell, variant, images).model.posterior
    # A plugin is a stranger's code: whatever it raises costs its own cells.
    except (Exception, SystemExit):
        return ""
    return _other_prior(posterior, source.model.posterior)


def _other_prior(mine: Posterior, theirs: Posterior) -> str:
    """Why a posterior's prior is not the frozen one; empty where both are one distribution."""
    try:
        if learned(mine):
            return _LEARNED
        with seeded(0, "priors"), torch.no_grad():
            return "" if alike(prior_of(mine), prior_of(theirs)) else _OTHER
    except (ValueError, NotImplementedError, RuntimeError, TypeError):
        return _OTHER


def fill(model: VAE, run: Path, cell: Cell) -> None:
    """Give a cell's model the weights of its frozen decoder, which the run keeps, if it has one.

    Raises:
        UserError: They are not there, or not those of the cell.
    """
    if cell.decoder_of is None:
        return
    name, _, wanted = cell.decoder_of.partition("@")
    source = frozen(Asked(run / KEPT / "cells" / name, wanted))
    model.observation.load_state_dict(source.model.observation.state_dict())
