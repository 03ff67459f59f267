"""Builds a cell's networks from derived seeds and trains them with Lightning."""

import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from vaebench import critic as critics
from vaebench.backbones import backbone
from vaebench.batches import Batches, observed
from vaebench.config import Cell
from vaebench.data import Images
from vaebench.harness import Diverged, Harness, Training
from vaebench.likelihoods import grey, likelihood
from vaebench.model import VAE
from vaebench.posterior import Variant
from vaebench.seeds import seeded

#: Called after every epoch with the number of epochs done.
Report = Callable[[int], None]


def build(cell: Cell, variant: Variant, images: Images) -> tuple[VAE, nn.Module | None]:
    """The model and the critic with their initial weights, each part from its own sub-seed.

    Encoder, decoder and critic depend on the cell's seed and shapes, not on the variant.
    """
    with seeded(cell.seed, "backbone"):
        encoder, decoder = backbone(cell.backbone).build(images.shape, cell.latent, cell.width)
    with seeded(cell.seed, "posterior"):
        posterior = variant.posterior(cell.latent, encoder.features)
    with seeded(cell.seed, "critic"):
        critic = critics.build(cell.critic, images.shape, 2 * cell.width)
    model = VAE(encoder, posterior, decoder, likelihood(cell.likelihood, images.levels))
    return model, critic


class _Best(pl.Callback):
    """Keeps the weights of the epoch with the best validation objective, after any warm-up."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.epoch = 0
        self.value = -float("inf")
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, harness: pl.LightningModule) -> None:
        assert isinstance(harness, Harness)
        value = harness.history[-1]["valid_objective"]
        if value > self.value and len(harness.history) > harness.plan.kl_warmup:
            self.epoch, self.value = len(harness.history), value
            self.weights = {k: v.detach().clone() for k, v in harness.model.state_dict().items()}
        self.report(len(harness.history))


def fit(
    cell: Cell,
    variant: Variant,
    images: Images,
    model: VAE,
    critic: nn.Module | None,
    device: torch.device,
    report: Report,
) -> tuple[list[dict[str, float]], int]:
    """Train, and leave in `model` the weights to evaluate.

    Returns:
        The history, a row an epoch, and the number of the epoch whose weights are in `model`.

    Raises:
        Diverged: The loss, or every validation value, is not a finite number.
    """
    fixed = cell.binarise == "fixed"
    batches = Batches(images.train, model.likelihood, cell.batch_size, cell.seed, fixed, device)
    parts = math.ceil(len(images.validation) / cell.batch_size)
    held_out: Any = list(
        zip(
            grey(images.validation.pixels, images.levels).to(device).tensor_split(parts),
            observed(images.validation, model.likelihood, "validation")
            .to(device)
            .tensor_split(parts),
            strict=True,
        )
    )
    harness = Harness(
        model,
        variant,
        critic,
        Training(
            epochs=cell.epochs,
            lr=cell.lr,
            lr_schedule=cell.lr_schedule,
            kl_warmup=cell.kl_warmup,
            critic_weight=cell.critic_weight,
            seed=cell.seed,
        ),
    )
    best = _Best(report)
    with warnings.catch_warnings(), seeded(cell.seed, "training noise"):
        # Lightning advises on loaders, loggers and devices that are chosen here on purpose.
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            max_epochs=cell.epochs,
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[best],
        )
        trainer.fit(harness, batches, DataLoader(held_out, batch_size=None))
    if trainer.interrupted:
        raise KeyboardInterrupt
    model.to(device)
    if cell.evaluate == "last":
        return harness.history, cell.epochs
    if not best.weights:
        raise Diverged("no epoch had a finite validation objective after the warm-up")
    model.load_state_dict(best.weights)
    return harness.history, best.epoch
