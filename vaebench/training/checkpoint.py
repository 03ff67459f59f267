"""Checkpoints in the middle of a cell's training: safetensors and JSON, nothing pickled.

A file is the SHA-256 of the rest, then a safetensors file that holds every tensor of Lightning's
checkpoint; its metadata holds the tree around them, and which cell and versions it is of.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vaebench.compute.random import restore, states
from vaebench.runs import files

_DIGEST = hashlib.sha256().digest_size


def pack(tree: Any, identity: str) -> bytes:
    """Nested dicts, lists and tuples of tensors and plain values as bytes."""
    tensors: dict[str, Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[plain(key), plain(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {type(value).__name__: [plain(item) for item in value]}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a checkpoint holds no {type(value).__name__}")

    text = json.dumps(plain(tree))
    content = save(tensors, {"tree": text, "identity": identity})
    return hashlib.sha256(content).digest() + content


def unpack(content: bytes, identity: str) -> Any:
    """The inverse of `pack`; ValueError for what is damaged or has another identity."""
    digest, rest = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        raise ValueError("the checkpoint is damaged")
    try:
        size = int.from_bytes(rest[:8], "little")
        metadata = json.loads(rest[8 : 8 + size])["__metadata__"]
        tensors, tree = load(rest), json.loads(metadata["tree"])
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("the checkpoint is none") from error
    if metadata["identity"] != identity:
        raise ValueError("the checkpoint is of another cell or version")

    def whole(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "dict":
            return {whole(key): whole(item) for key, item in content}
        return {"list": list, "tuple": tuple}[kind](map(whole, content))

    return whole(tree)


class Safe(CheckpointIO):
    """Lightning's reading and writing of checkpoints, in this module's format."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write atomically."""
        files.write_bytes(path, pack(checkpoint, self.identity))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read; ValueError for what cannot be used."""
        return unpack(Path(path).read_bytes(), self.identity)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)

    def holds(self, path: Path) -> bool:
        """Whether training can go on from the file."""
        try:
            return path.is_file() and bool(self.load_checkpoint(path))
        except (OSError, ValueError):
            return False


class Keeper(pl.Callback):
    """Writes a checkpoint every so often, with the random states, and puts these back.

    Attributes:
        path: The file; None keeps nothing.
        every: Seconds between two writings of it.
        seconds: Time spent in training, that before an interruption included.
    """

    def __init__(self, path: Path | None = None, every: float = 60.0) -> None:
        self.path = path
        self.every = every
        self.seconds = 0.0
        self._noticed = self._saved = 0.0
        self._random: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, harness: pl.LightningModule) -> None:
        """Put the random states back and start the clock."""
        self._noticed = self._saved = time.monotonic()
        if self._random:
            restore(self._random)

    def on_train_batch_end(
        self, trainer: pl.Trainer, harness: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Write a checkpoint if it is time, but leave an epoch's end to its validation."""
        self._tick()
        ending = trainer.should_stop or index + 1 >= trainer.num_training_batches
        if self.path is None:
            return
        due = not ending and self._noticed - self._saved >= self.every
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.save_checkpoint(self.path)
            self._saved = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, harness: pl.LightningModule) -> None:
        """Stop the clock."""
        self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._noticed
        self._noticed = now

    def state_dict(self) -> dict[str, Any]:
        """The clock and every random state that training may draw from."""
        return {"seconds": self.seconds, "random": states()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the states; they are put back when training starts."""
        self.seconds = state_dict["seconds"]
        self._random = state_dict["random"]
