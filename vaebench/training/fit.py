"""Trains a resolved cell with Lightning."""

import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.utils.data import DataLoader

from vaebench.compute import devices, precision
from vaebench.compute.compiled import compiled
from vaebench.compute.random import seeded
from vaebench.compute.ranks import ALONE, Ranks
from vaebench.data.batches import Batches, Groups, items_of
from vaebench.models import weights
from vaebench.models.vae import VAE
from vaebench.training.build import Resolved
from vaebench.training.checkpoint import Keeper, Safe
from vaebench.training.harness import Diverged, Harness

#: Training steps between two looks at the clock.
_GROUP = 8
#: Called after every epoch with its row of the history and the model that was validated.
Report = Callable[[dict[str, float], VAE], None]


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        history: A row for each epoch.
        epoch: The number of the epoch whose weights were kept.
        decoder_passes: Images that the decoder made.
        seconds: Time that training took, validation included.
        remarks: Sentences on what could not be made faster.
    """

    history: list[dict[str, float]]
    epoch: int
    decoder_passes: int
    seconds: float
    remarks: tuple[str, ...] = ()


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
        if value > self.value and not harness.warming:
            self.epoch, self.value = len(harness.history), value
            state = harness.evaluated.state_dict()
            self.weights = {k: v.detach().clone() for k, v in state.items()}
        self.report(harness.history[-1], harness.evaluated)

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far."""
        return {"epoch": self.epoch, "value": self.value, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.epoch, self.value = state_dict["epoch"], state_dict["value"]
        self.weights = state_dict["weights"]


class _Environment(LightningEnvironment):
    """Tells Lightning of ranks that have been started already, all of them on this machine."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._rank, self._main_port = ranks.rank, ranks.port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._rank


def _devices(device: torch.device, ranks: Ranks) -> int | list[int]:
    """Which devices Lightning is to take: this one, or as many as there are ranks."""
    if ranks.size > 1 or device.index is None:
        return ranks.size
    return [device.index]


def fit(
    resolved: Resolved,
    report: Report,
    keeper: Keeper | None = None,
    ranks: Ranks = ALONE,
    *,
    compile: bool = False,
    replay: bool = True,
) -> Trained:
    """Train, and leave in the model the weights to evaluate.

    Args:
        resolved: What to train.
        report: Told what each epoch came to.
        keeper: Keeps a checkpoint to go on from; training goes on from what it has.
        ranks: The processes that share the training; each of them calls this function.
        compile: Let torch.compile make programs of encoder, decoder and critic.
        replay: On a GPU, record steps and play them again where that is possible.

    Raises:
        UserError: The batches cannot be divided among the ranks, the weights not be saved, or the
            device not compute with the cell's precision.
        Diverged: The loss, or every validation value, is not a finite number.
    """
    cell, images, model = resolved.cell, resolved.images, resolved.model
    device, keeper = resolved.device, keeper or Keeper()
    weights.verify(model)
    precision.verify(cell.precision, device)
    fixed = cell.binarise == "fixed"
    batches = Batches(
        images.train,
        model.likelihood,
        cell.batch_size,
        cell.seed,
        fixed,
        device,
        ranks,
        resolved.labels,
    )
    parts = math.ceil(len(images.validation) / cell.batch_size)
    validation = items_of(images.validation, model.likelihood, "validation").to(device)
    # Views: a copy of each batch would be all of them once more.
    rows = torch.arange(len(validation)).tensor_split(parts)
    held_out: Any = [validation[int(some[0]) : int(some[-1]) + 1] for some in rows]
    harness = Harness(model, resolved.variant, resolved.critic, cell, ranks, resolved.rival, replay)
    best = _Best(report)
    group = _GROUP if keeper.every else 1
    safe = Safe(f"{cell.id} {version('vaebench')} {torch.__version__} {pl.__version__} {group}")
    resume = keeper.path if keeper.path and safe.holds(keeper.path) else None
    strategy: Strategy | str = "auto"
    plugins: list[Any] = [safe]
    if ranks.size > 1:
        strategy = DDPStrategy(find_unused_parameters=True)
        plugins.append(_Environment(ranks))
    with warnings.catch_warnings(), seeded(cell.seed, "training noise"):
        # Lightning advises on loaders, loggers and devices that are chosen here on purpose.
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            max_epochs=cell.epochs if cell.budget == "epochs" else -1,
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices=_devices(device, ranks),
            strategy=strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[best, keeper],
            plugins=plugins,
            use_distributed_sampler=False,
        )
        networks = [
            one for one in (model.encoder, model.decoder, resolved.critic) if one is not None
        ]
        with (
            devices.known_absent(),
            compiled(networks, compile) as reasons,
            precision.reduced(networks, cell.precision, device),
        ):
            trainer.fit(
                harness,
                Groups(batches, group),
                DataLoader(held_out, batch_size=None),
                ckpt_path=resume,
                weights_only=True,
            )
    # Lightning's objects hold each other, and these, until they are collected.
    held_out.clear()
    if trainer.interrupted:
        raise KeyboardInterrupt
    model.to(device)
    epoch = len(harness.history)
    if cell.evaluate != "last":
        if not best.weights:
            raise Diverged("no epoch had a finite validation objective after the warm-up")
        model.load_state_dict(best.weights)
        epoch = best.epoch
    elif harness.average is not None:
        model.load_state_dict(harness.evaluated.state_dict())
    return Trained(
        harness.history,
        epoch,
        harness.decoder_passes,
        keeper.seconds,
        _remarks(harness, reasons),
    )


def _remarks(harness: Harness, reasons: list[str]) -> tuple[str, ...]:
    """What could not be made faster, and why."""
    found = [f"A network trains without being compiled: {reason}" for reason in reasons]
    if harness.unrecorded:
        found.append(f"Steps are computed one by one, not recorded: {harness.unrecorded}.")
    return tuple(found)
