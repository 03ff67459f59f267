"""The one place where model, objective and critic meet: a LightningModule for any variant."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel

from vaebench.compute.random import seeded
from vaebench.compute.ranks import ALONE, Ranks
from vaebench.config.cell import Cell
from vaebench.data.batches import Groups
from vaebench.data.observation import grey
from vaebench.models.critic import critic_loss, decoder_loss
from vaebench.models.draw import Draw, held
from vaebench.models.items import Items
from vaebench.models.objectives import elbo
from vaebench.models.rival import Rival
from vaebench.models.vae import VAE
from vaebench.models.variant import Variant
from vaebench.training.averaging import average
from vaebench.training.kl_schedules import kl_schedule
from vaebench.training.optimisers import model_optimiser
from vaebench.training.recording import Made, Recording
from vaebench.training.schedules import SCHEDULES


class Diverged(ArithmeticError):
    """Training reached a value that is not a number, or infinite."""


class Harness(pl.LightningModule):
    """Trains a variant's posterior with the shared encoder, decoder and, if given, critic.

    The loss is -objective + penalties + rival's term + critic_weight · critic term, a mean over the
    batch. Each epoch ends in a row of `history`: means over the epoch, in nats per image,
    the share of steps whose gradient was clipped (`train_clipped`, where the cell asks for
    clipping), and the `seconds` of training so far.

    Args:
        model: The shared model around the variant's posterior.
        variant: Objective, number of draws and penalties.
        critic: Maps pictures to logits of being real, or None.
        cell: Its settings of training: epochs and budget, optimiser, learning rate and schedule,
            gradient clipping, average of weights, KL schedule and free bits, weight of the critic's
            term, precision, seed.
        ranks: The processes that share each batch, this one among them.
        rival: The variant's second player on codes, or None.
        replay: Whether steps on a GPU are recorded and played again, where that is possible.

    Attributes:
        history: A row for each epoch.
        decoder_passes: Images that the decoder has made in training.
        seconds: Time spent in training steps.
        warming: Whether the last step still had a smaller KL weight.
    """

    def __init__(
        self,
        model: VAE,
        variant: Variant,
        critic: nn.Module | None,
        cell: Cell,
        ranks: Ranks = ALONE,
        rival: Rival | None = None,
        replay: bool = True,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.variant = variant
        self.critic = critic
        self.rival = rival
        self.cell = cell
        self.ranks = ranks
        self.history: list[dict[str, float]] = []
        self.decoder_passes = 0
        self.seconds = 0.0
        self.warming = False
        self.average: AveragedModel | None = average(model, cell.ema) if cell.ema else None
        self.replay = replay
        self.recording: Recording | None = None
        self._decoded = 0
        self._weight = 1.0
        self._scaler = torch.amp.GradScaler(enabled=cell.precision == "16-mixed")
        self._kl_weight = kl_schedule(cell.kl_schedule, cell.kl_warmup, cell.epochs)
        self._sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.device))
        self._counts: dict[str, int] = defaultdict(int)

    @property
    def evaluated(self) -> VAE:
        """The model that is validated and kept: of averaged weights, where the cell asks for it."""
        found: Any = self.model if self.average is None else self.average.module
        return found

    def configure_optimizers(self) -> list[Optimizer]:
        """The cell's optimiser for model and likelihood; always Adam for critic and rival."""
        plan, lr, fused = self.cell, self.cell.lr, self.device.type in ("cpu", "cuda")
        optimisers = [
            model_optimiser(
                plan.optimiser, self.model.parameters(), lr, plan.weight_decay, fused=fused
            )
        ]
        if self.critic is not None:
            optimisers.append(Adam(self.critic.parameters(), lr, betas=(0.5, 0.999), fused=fused))
        if self.rival is not None:
            betas = self.rival.betas
            optimisers.append(Adam(self.rival.parameters(), lr, betas=betas, fused=fused))
        return optimisers

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            mean = value.detach().mean() if value.ndim else value.detach()
            self._sums[name] = self._sums[name] + mean
            self._counts[name] += 1

    def _terms(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        value = self.variant.objective(draw)
        if value.shape != draw.log_px.shape[1:]:
            raise ValueError(
                f"The objective of {self.variant.name} returned shape {tuple(value.shape)} "
                f"instead of {tuple(draw.log_px.shape[1:])}, one value for each image."
            )
        return value, {name: f(draw) for name, f in self.variant.penalties.items()}

    def on_fit_start(self) -> None:
        """Count what the decoder makes."""

        def count(decoder: nn.Module, given: tuple[Tensor, ...], made: Any) -> None:
            if decoder.training or (self.model.frozen and self.model.training):
                self._decoded += len(given[0]) * self.ranks.size

        self._counter = self.model.decoder.register_forward_hook(count)
        if self.replay and self._on_gpu and not self._obstacle:
            self.recording = Recording(self._counted, self)

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def _obstacle(self) -> str:
        """Why a step is more than kernels of one GPU; empty where it is not."""
        there = {
            "a batch is divided among devices": self.ranks.size > 1,
            "the variant has a rival": self.rival is not None,
            "16-mixed scales the loss anew in each step": self._scaler.is_enabled(),
        }
        return next((reason for reason, holds in there.items() if holds), "")

    @property
    def unrecorded(self) -> str:
        """Why the steps of a training on a GPU were computed one by one; empty if they were not."""
        if not (self.replay and self._on_gpu):
            return ""
        return self._obstacle if self.recording is None else self.recording.reason

    def on_fit_end(self) -> None:
        """Count no longer."""
        self._counter.remove()

    @property
    def _groups(self) -> Groups:
        groups: Any = self.trainer.train_dataloader
        return groups

    def _spent(self, index: int, size: int) -> float:
        """How much of the budget is spent before step `index` of an epoch, in epochs."""
        plan, steps = self.cell, len(self._groups.batches)
        if plan.budget == "decoder-passes":
            return self.decoder_passes / (steps * size * self.ranks.size)
        if plan.seconds is not None:
            return plan.epochs * self.seconds / plan.seconds
        return self.current_epoch + index / steps

    def training_step(self, group: Iterator[tuple[Tensor, Items]], index: int) -> None:
        """For each batch a step of the model, then one of critic and rival on the same draws."""
        losses: list[Tensor] = []
        try:
            for each, batch in enumerate(group, index * self._groups.size):
                clock = time.perf_counter()
                losses.append(self._step(*batch, each))
                self.seconds += time.perf_counter() - clock
                if self.cell.seconds is not None and self.ranks.size > 1:
                    spent = torch.tensor(self.seconds, device=self.device)
                    self.seconds = self.ranks.mean(spent).item()
                if self._spent(each + 1, len(batch[0])) >= self.cell.epochs:
                    self.trainer.should_stop = True
                    break
        finally:
            self._verify(losses, index * self._groups.size)

    def _verify(self, losses: list[Tensor], first: int) -> None:
        """Raise Diverged where one of the losses of steps from `first` on is not finite."""
        clock = time.perf_counter()
        values = torch.stack(losses).tolist() if losses else []
        self.seconds += time.perf_counter() - clock
        for step, value in enumerate(values, first + 1):
            if not math.isfinite(value):
                raise Diverged(
                    f"the loss is {value} at step {step} of epoch {self.current_epoch + 1}"
                )

    def _step(self, pixels: Tensor, x: Items, index: int) -> Tensor:
        """Update all players; the model's loss."""
        plan = self.cell
        optimiser, *others = self.trainer.optimizers
        spent = self._spent(index, len(x))
        factor = SCHEDULES[plan.lr_schedule](min(1.0, spent / plan.epochs))
        for each in (optimiser, *others):
            each.param_groups[0]["lr"] = plan.lr * factor
        self._weight = self._kl_weight(spent)
        self.warming = self._weight < 1

        draw = None
        if self.recording is None:
            means, draw = self._gradients(pixels, x, index)
        else:
            means, self._decoded = self.recording(pixels, x, self._weight)
        self._update(optimiser, plan.clip_norm)
        if self.average is not None:
            self.average.update_parameters(self.model)
        if self.critic is not None:
            self._update(others[0])
        self._scaler.update()
        self._note(**{name: mean for name, mean in means.items() if name != "loss"})
        if self.rival is not None and draw is not None:
            self._rival_step(others[-1], self.rival, draw.detached(), index)
        self.decoder_passes += self._decoded
        return means["loss"].clone()

    def _counted(self, pixels: Tensor, x: Items) -> Made:
        """Gradients in place; means over the batch, and the images that the decoder made."""
        means, _ = self._gradients(pixels, x, 0)
        return means, self._decoded

    def _gradients(self, pixels: Tensor, x: Items, index: int) -> tuple[dict[str, Tensor], Draw]:
        """Put the gradients of model and critic in place.

        Returns:
            Means over the batch by name, among them the model's loss, and the draws.
        """
        self._decoded = 0
        optimiser, *others = self.trainer.optimizers
        draw = self.model.draw(x, self.variant.samples, paired=True, ranks=self.ranks)
        draw = draw._replace(kl_weight=self._weight, free_bits=self.cell.free_bits)
        value, penalties = self._terms(draw)
        loss = -value.mean()
        noted: dict[str, Tensor] = {}
        for penalty in penalties.values():
            loss = loss + penalty.mean()
        if self.rival is not None:
            term = self._against_rival(self.rival, draw, index)
            noted["train_against_rival"] = term
            loss = loss + term
        fake = None
        if self.critic is not None:
            assert draw.outputs is not None
            rows = torch.arange(len(x), device=self.device)
            fake = self.model.observation.expected(draw.outputs[self.ranks.mine(draw.pick()), rows])
            with held([self.critic]):
                term = decoder_loss(self.critic(fake))
            noted["train_decoder_against_critic"] = term
            loss = loss + self.cell.critic_weight * term
        noted |= {"train_objective": value, "train_log_px": draw.mean(draw.log_px)}
        noted |= {f"train_{name}": penalty for name, penalty in penalties.items()}
        self._differentiate(optimiser, loss)
        if self.critic is not None and fake is not None:
            real = grey(pixels, self.model.likelihood.levels)
            noted["train_critic"] = critic_loss(self.critic(real), self.critic(fake.detach()))
            self._differentiate(others[0], noted["train_critic"])
        means = {name: each.detach().mean() for name, each in noted.items()}
        return means | {"loss": loss.detach()}, draw

    def _differentiate(self, optimiser: Any, loss: Tensor) -> None:
        optimiser.zero_grad()
        scaled = self._scaler.scale(loss)
        if self.ranks.size == 1:
            scaled.backward()
        else:
            self.manual_backward(scaled)

    def _update(self, optimiser: Any, clip: float = 0.0) -> None:
        if clip:
            self._scaler.unscale_(optimiser)
            norm = clip_grad_norm_(optimiser.param_groups[0]["params"], clip)
            self._note(train_clipped=(norm > clip).float())
        self._scaler.step(optimiser)

    def _aside(self, what: str, index: int) -> AbstractContextManager[None]:
        """Random numbers for the rival alone, the same ones where training goes on from here."""
        return seeded(self.cell.seed, "rival", what, self.current_epoch, index)

    def _against_rival(self, rival: Rival, draw: Draw, index: int) -> Tensor:
        with held([rival]), self._aside("term", index):
            return rival.term(draw).mean()

    def _rival_step(self, optimiser: Any, rival: Rival, draw: Draw, index: int) -> None:
        with self._aside("loss", index):
            loss = rival.loss(draw).mean()
        self._differentiate(optimiser, loss)
        self._update(optimiser)
        self._scaler.update()
        self._note(train_rival=loss)

    def on_validation_epoch_start(self) -> None:
        """The same validation noise in every epoch and for every variant."""
        self._seed = seeded(self.cell.seed, "validation")
        self._seed.__enter__()

    def validation_step(self, x: Items, index: int) -> None:
        """The variant's own objective and, where q has a density, the ELBO and its two terms."""
        draw = self.evaluated.draw(x, self.variant.samples)
        value, _ = self._terms(draw)
        self._note(valid_objective=value, valid_log_px=draw.mean(draw.log_px))
        if not {"density", "support"} & set(self.variant.deviations):
            self._note(valid_elbo=elbo(draw), valid_kl=draw.kl)

    def on_validation_epoch_end(self) -> None:
        """Close the epoch's row of the history, and give training its own random state back."""
        self._seed.__exit__(None, None, None)
        self._share_sums()
        row = {name: self._sums[name].item() / self._counts[name] for name in self._sums}
        self._sums.clear()
        self._counts.clear()
        lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        spent = round(self.seconds, 3)
        self.history.append({"epoch": self.current_epoch + 1, "lr": lr, "seconds": spent, **row})

    def _share_sums(self) -> None:
        for name, value in self._sums.items():
            self._sums[name] = self.ranks.mean(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of."""
        self._share_sums()
        checkpoint["harness"] = {
            "history": self.history,
            "decoder_passes": self.decoder_passes,
            "seconds": self.seconds,
            "sums": dict(self._sums),
            "counts": dict(self._counts),
            "scaler": self._scaler.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        saved = checkpoint["harness"]
        self.history = saved["history"]
        self.decoder_passes, self.seconds = saved["decoder_passes"], saved["seconds"]
        self._sums.update({k: v.to(self.device) for k, v in saved["sums"].items()})
        self._counts.update(saved["counts"])
        # Checkpoints of before have none, and need none.
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(saved["scaler"])
