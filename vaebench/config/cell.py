"""All settings: what a cell is trained with, and what is measured of it. Plain data, no torch."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from vaebench.config.declaration import declared, setting

#: The comparison that `vaebench run` makes when nothing else is asked for.
DEFAULT_PLUGINS = (
    "gaussian",
    "gmm",
    "gamix",
    "iwae",
    "iaf",
    "vmf",
    "epanechnikov",
    "autoencoder",
)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a model is trained with."""

    plugin: str = setting(
        DEFAULT_PLUGINS,
        "Variants, or plugins for all of theirs; 'all' for everything.",
        asked="plugins",
        axis=True,
        pace=True,
    )
    dataset: str = setting(
        "digits",
        "Data sets: mnist, mnist[given=label], sprites, folder:PATH for your own.",
        axis=True,
        pace=True,
    )
    seed: int = setting(0, "Seeds: 0,1,2 or 0..4.", asked="seeds", axis=True, least=0)
    epochs: int = setting(40, "Passes over the training images.", axis=True, least=1)
    budget: str = setting(
        "epochs",
        "What is spent alike: epochs, decoder-passes (--epochs of one draw's), seconds.",
        axis=True,
        choices=("epochs", "decoder-passes", "seconds"),
        noun="budget",
        pace=True,
        absent="epochs",
    )
    seconds: float | None = setting(
        None, "Training time of each cell under --budget seconds.", above=0, absent=None
    )
    latent: int = setting(None, "Latent dimensions; by default the data set's.", axis=True, least=1)
    backbone: str = setting(
        None,
        "resnetv2, mlp, mlp-relu, or a plugin's; else the data set's.",
        axis=True,
        pace=True,
    )
    width: int = setting(None, "Channels or units of the backbone.", axis=True, least=1, pace=True)
    likelihood: str = setting(
        None, "bernoulli, gaussian[scale=0.1], logistic-mixture, …; see `list`.", axis=True
    )
    binarise: str = setting(
        None,
        "dynamic, fixed or none.",
        axis=True,
        choices=("dynamic", "fixed", "none"),
        noun="binarisation",
    )
    image_size: int | None = setting(
        None, "Side length in pixels that pictures are resized to.", axis=True, least=1, pace=True
    )
    critic: str = setting(
        "patchgan",
        "patchgan, none, or both: patchgan,none.",
        axis=True,
        choices=("none", "patchgan"),
        noun="critic",
        pace=True,
    )
    critic_weight: float = setting(
        10.0, "Weight of the critic's term beside nats per image.", axis=True, least=0
    )
    batch_size: int = setting(64, "Images in a training step.", axis=True, least=1, pace=True)
    lr: float = setting(2e-3, "Learning rate of model and critic.", axis=True, above=0)
    lr_schedule: str = setting(
        "cosine",
        "constant, cosine, linear or burda.",
        axis=True,
        choices=("constant", "cosine", "linear", "burda"),
        noun="learning-rate schedule",
    )
    optimiser: str = setting(
        "adam",
        "Of the model: adam, adamw, radam, nadam, adamax, rmsprop, sgd[momentum=0.9].",
        axis=True,
        absent="adam",
    )
    weight_decay: float = setting(
        None,
        "Weight decay of the model; by default torch's of the optimiser.",
        axis=True,
        least=0,
        absent=0.0,
    )
    clip_norm: float = setting(
        0.0,
        "The norm that the model's gradient is scaled down to; 0 for none.",
        axis=True,
        least=0,
        absent=0.0,
    )
    ema: float = setting(
        0.0,
        "Decay of a moving average of weights, evaluated in their place; 0 for none.",
        axis=True,
        least=0,
        below=1,
        absent=0.0,
    )
    kl_warmup: int = setting(0, "Epochs over which the KL weight grows to one.", axis=True, least=0)
    kl_schedule: str = setting(
        "linear",
        "linear or sigmoid, during --kl-warmup, or cyclical[cycles=4,share=0.5].",
        axis=True,
        absent="linear",
    )
    free_bits: float = setting(
        0.0,
        "Nats of the KL of each latent dimension that training leaves free.",
        axis=True,
        least=0,
        absent=0.0,
    )
    word_dropout: float = setting(
        0.0,
        "Part of the tokens that training hides from a decoder of text; 1: always all.",
        axis=True,
        least=0,
        most=1,
        absent=0.0,
    )
    precision: str = setting(
        "32",
        "What networks train in: 32, bf16-mixed or 16-mixed (GPU); all else is float32.",
        axis=True,
        choices=("32", "bf16-mixed", "16-mixed"),
        noun="precision",
        pace=True,
        absent="32",
    )
    evaluate: str = setting(
        "best",
        "Evaluate the best validation epoch's weights, or the last ones.",
        choices=("best", "last"),
    )
    decoder_of: str | None = setting(
        None,
        "Folder of a trained cell: freeze its decoder, and train posteriors alone.",
        absent=None,
    )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is measured of a trained model, and with how much effort."""

    metrics: tuple[str, ...] = setting(
        "default", "Metrics, groups of them, default or all; see `vaebench list --metrics`."
    )
    sampler: tuple[str, ...] = setting(
        "prior",
        "What codes of samples are drawn from: prior, gmm[components=10], maf, ….",
        absent=("prior",),
    )
    extractor: str = setting(None, "Feature network of FID and its kin; by default the data set's.")
    ais_images: int = setting(
        None, "Test images for AIS; by default 64, fewer of large pictures.", least=1, effort=1
    )
    ais_target: float | None = setting(
        None, "Nats that AIS errors and BDMC gap shall stay below.", above=0, effort=-1, absent=None
    )
    ais_budget: int = setting(
        None,
        "Decoder gradients for each image that AIS may spend; by default 6000, or fewer.",
        least=1,
        effort=1,
        absent=6000,
    )
    iw_samples: int = setting(256, "K of the importance-weighted bound.", least=1, effort=1)
    iw_images: int = setting(400, "Test images for that bound.", least=1, effort=1, absent=400)


#: What every record and every name holds, in the order of a table's columns.
ALWAYS = (
    *("plugin", "dataset", "backbone", "width", "critic", "critic_weight", "latent"),
    *("likelihood", "binarise", "image_size", "seed", "epochs", "batch_size", "lr"),
    *("lr_schedule", "kl_warmup", "evaluate", "data", "code", "budget", "seconds"),
)


@dataclass(frozen=True, kw_only=True)
class Cell(Training):
    """One variant × data set × options × seed, fully resolved: a training.

    What is measured of it is no part of its name: it can be measured again.

    Attributes:
        data: Digest of the images.
        code: Digest of the files of the plugins that it is trained with.
    """

    data: str
    code: str = ""

    @property
    def id(self) -> str:
        """``<plugin>-<dataset>-s<seed>-<hash8>``, safe as a folder's name."""
        name, data = (
            re.sub(r"[^A-Za-z0-9.=]+", "_", text)[:48] for text in (self.plugin, self.dataset)
        )
        return f"{name}-{data}-s{self.seed}-{digest(self.record())}"

    def record(self) -> dict[str, Any]:
        """The cell as plain data, without what was added since and is as it was before."""
        values = asdict(self)
        since = {f.name: f.default for f in fields(self) if f.name not in ALWAYS}
        return {name: values[name] for name in ALWAYS} | {
            name: values[name] for name, absent in since.items() if values[name] != absent
        }


class Task(NamedTuple):
    """A cell and what shall be known of it: the unit of work.

    Attributes:
        cell: What is trained, unless it has been.
        evaluation: What is measured of it, unless it has been with as much effort.
        steps: Steps of AIS; None lets a pilot decide.
        compiled: Whether AIS compiles its steps.
        again: Whether to measure again what has been measured.
        failed: Whether to measure again what had no number for want of a file, or failed.
    """

    cell: Cell
    evaluation: Evaluation
    steps: int | None = None
    compiled: bool = False
    again: bool = False
    failed: bool = False


#: All of them, in the order of the command line.
SETTINGS = (*declared(Training), *declared(Evaluation))
#: Those that a number may depend on, with 1 where more is more effort and -1 where less is.
EFFORT = {s.name: s.effort for s in SETTINGS if s.effort}
#: The effort of a first look, which is replaced by what is asked for later.
QUICK = {"ais_images": 8, "ais_budget": 600, "iw_images": 50}
#: Names of what a model is trained with, and of what is measured of it.
TRAINED = tuple(s.name for s in declared(Training))
MEASURED = tuple(s.name for s in declared(Evaluation))
#: What a cell has done whose record does not name the setting.
ABSENT = {s.name: s.absent for s in SETTINGS if s.name in TRAINED and s.name not in ALWAYS}


def digest(value: Any) -> str:
    """Eight hexadecimal digits that depend on plain data alone."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
