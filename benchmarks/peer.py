"""One side of the comparison with Pythae, in a process of its own: prints its figures as JSON.

    python benchmarks/peer.py vaebench|pythae BACKBONE IMAGES [DIR]

Each side trains a VAE, an IWAE, an IAF and an S-VAE, one after the other, with vaebench's encoder
and decoder for one epoch on the same images, binarised once, in batches of 64, and validates once
on 1,000 images. Pythae runs through its TrainingPipeline with
its own trainer, data loader and model class; its IAF gets one hidden layer of 128 units a step, as
vaebench's has. Its optimiser is its default one, torch's Adam without `fused`.
"""

import contextlib
import ctypes
import gc
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from bare import cell, images
from torch import Tensor, nn

from vaebench.config.cell import Cell
from vaebench.data.images import Images

SAMPLES = 8
#: Each row and its variant here; the first word is Pythae's model. vaebench's flow also sees the
#: encoder's features: with 128 hidden units it has three times as many parameters, with 42 as many.
PLUGINS = {
    "VAE": "gaussian",
    "IWAE": "iwae",
    "IAF": "iaf",
    "IAF of equal size": "iaf[width=42]",
    "SVAE": "vmf",
}


def peak() -> float:
    """Largest resident memory of this process since the last `forget`, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget() -> None:
    """Give back what nobody uses, and let `peak` begin anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def vaebench_side(plan: Cell, data: Images, device: str = "cpu") -> Any:
    """A function that trains an epoch."""
    from vaebench.registry.catalogue import catalogue
    from vaebench.training.build import build
    from vaebench.training.fit import fit

    variant = catalogue().variant(plan.plugin)
    made = build(plan, variant, data, torch.device(device))
    return lambda: fit(made, lambda row, validated: None).history


def pythae_model(kind: str, plan: Cell, data: Images) -> Any:
    """Pythae's model with vaebench's encoder and decoder."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    from vaebench.registry.lookup import backbone

    inner, outer = backbone(plan.backbone).build(data.shape, plan.latent, plan.width)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            spread = 1 if kind == "SVAE" else plan.latent
            self.inner = inner
            self.loc = nn.Linear(inner.features, plan.latent)
            self.spread = nn.Linear(inner.features, spread)

        def forward(self, x: Tensor) -> Any:
            h = self.inner(x)
            name = "log_concentration" if kind == "SVAE" else "log_covariance"
            return ModelOutput(**{"embedding": self.loc(h), name: self.spread(h)})

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.outer = outer

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.outer(z).sigmoid())

    common = {"input_dim": data.shape, "latent_dim": plan.latent, "reconstruction_loss": "bce"}
    config, model = {
        "VAE": (models.VAEConfig(**common), models.VAE),
        "IWAE": (models.IWAEConfig(number_samples=SAMPLES, **common), models.IWAE),
        "IAF": (
            models.VAE_IAF_Config(n_made_blocks=2, n_hidden_in_made=1, hidden_size=128, **common),
            models.VAE_IAF,
        ),
        "SVAE": (models.SVAEConfig(**common), models.SVAE),
    }[kind]
    return model(config, encoder=Encoder(), decoder=Decoder())


def pythae_side(kind: str, plan: Cell, data: Images, folder: str, device: str = "cpu") -> Any:
    """A function that trains an epoch."""
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    from vaebench.data.batches import observed
    from vaebench.registry.lookup import likelihood

    seen = likelihood(plan.likelihood, data.levels)
    x, validation = (
        observed(split, seen, purpose)
        for split, purpose in ((data.train, "train"), (data.validation, "validation"))
    )
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=1,
        learning_rate=plan.lr,
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=plan.batch_size,
        no_cuda=device == "cpu",
    )
    pipeline = TrainingPipeline(training_config=config, model=pythae_model(kind, plan, data))
    return lambda: pipeline(train_data=x, eval_data=validation)


def main() -> None:
    side, backbone, count, *folder = sys.argv[1:]
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    data = images(folder[0] if folder else None, int(count))
    found = {}
    for kind, plugin in PLUGINS.items():
        plan = cell(backbone, plugin=plugin, binarise="fixed", epochs=1, lr_schedule="constant")
        with (
            tempfile.TemporaryDirectory() as out,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            logging.disable()
            if side == "pythae":
                epoch = pythae_side(kind.partition(" ")[0], plan, data, out)
            else:
                epoch = vaebench_side(plan, data)
            forget()
            clock = time.process_time()
            epoch()
            del epoch
            found[kind] = {"seconds": time.process_time() - clock, "peak": peak()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
