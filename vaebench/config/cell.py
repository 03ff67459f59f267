"""One variant × data set × options × seed, fully resolved: the unit of work."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One variant × data set × options × seed, fully resolved: the unit of work."""

    plugin: str
    dataset: str
    backbone: str
    width: int
    critic: str
    critic_weight: float
    latent: int
    likelihood: str
    binarise: str
    image_size: int | None
    seed: int
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    kl_warmup: int
    evaluate: str
    metrics: tuple[str, ...]
    ais_images: int
    iw_samples: int
    extractor: str
    data: str
    code: str = ""
    budget: str = "epochs"
    seconds: float | None = None
    ais_target: float | None = None
    ais_budget: int = 6000
    iw_images: int = 400

    @property
    def id(self) -> str:
        """``<plugin>-<dataset>-s<seed>-<hash8>``, safe as a folder's name."""
        name, data = (
            re.sub(r"[^A-Za-z0-9.=]+", "_", text)[:48] for text in (self.plugin, self.dataset)
        )
        return f"{name}-{data}-s{self.seed}-{digest(asdict(self))}"


def digest(value: Any) -> str:
    """Eight hexadecimal digits that depend on plain data alone."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
