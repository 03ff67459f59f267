"""The pictures of a cell: what its model draws, copies, and makes of paths through its codes."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.distributions import Distribution

from vaebench.compute.random import seeded
from vaebench.data.observation import grey
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.evaluation.grid import COLUMNS, grid
from vaebench.evaluation.metrics.disentanglement import followed
from vaebench.evaluation.metrics.novelty import closest
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.vae import VAE
from vaebench.runs import files

#: Pictures in a grid of samples or of reconstructions.
SHOWN = 32
#: Test images whose codes say where traversals and maps run.
CODES = 512
_PAIRS = 6
_DIMENSIONS = 10
_FRAMES = 8
#: The part of the test images' codes that traversals and maps stay within.
_INSIDE = (0.02, 0.98)


def pictures(subject: Subject, folder: Path) -> Iterator[tuple[str, bytes, list[str]]]:
    """The pictures of an evaluated cell that its folder does not hold.

    Yields:
        The name, the content of its file, and what its lines show, where words say it.
    """
    if not (folder / "nearest.png").exists():
        yield from _nearest(subject)
    for sampler, other in subject.others.items():
        name = f"samples@{re.sub(r'[^A-Za-z0-9.=]+', '_', sampler).strip('_')}"
        if not (folder / f"{name}.png").exists():
            yield name, grid(other.samples[: 2 * SHOWN]), []
    if not (folder / "reconstructions.png").exists():
        yield from _all(subject)


def _nearest(subject: Subject) -> Iterator[tuple[str, bytes, list[str]]]:
    if (found := subject.made(closest)) is not None:
        samples, rows, _ = zip(*found.pairs(), strict=True)
        training = grey(subject.images.train.pixels[list(rows)], subject.images.levels)
        yield "nearest", grid(subject.samples[list(samples)], training.to(subject.device)), []


def _all(subject: Subject) -> Iterator[tuple[str, bytes, list[str]]]:
    if "likelihood" not in subject.variant.deviations:
        yield "samples", grid(subject.samples[: 2 * SHOWN]), []
    with seeded(subject.seed, "gallery"), torch.no_grad():
        codes = posterior_means(subject.model.posterior(subject.h[:CODES]))[0]
        radius = sphere(subject.p)
        yield "interpolations", grid(subject.decoded(interpolations(codes, radius))), []
        if radius is None:
            words = followed(subject, widest(codes).tolist())
            yield "traversals", grid(subject.decoded(traversals(codes))), words
            if codes.shape[1] == 2:
                yield "map", grid(subject.decoded(plane(codes))), []
    # The last one, which says that all are there.
    originals, copies = subject.pictures[:SHOWN], subject.reconstructions[:SHOWN]
    yield "reconstructions", grid(originals, copies), []


def sphere(prior: Distribution) -> float | None:
    """The radius of the sphere that a prior lives on, None where draws differ in length."""
    lengths = prior.sample(torch.Size((64,))).norm(dim=-1)
    mean = lengths.mean().item()
    return mean if mean > 0 and (lengths - mean).abs().max() < 1e-3 * mean else None


def interpolations(codes: Tensor, radius: float | None = None) -> Tensor:
    """Straight ways (P · 16, D) between the codes of consecutive images, on the sphere if any."""
    pairs = min(_PAIRS, len(codes) // 2)
    start, end = codes[: 2 * pairs : 2, None], codes[1 : 2 * pairs : 2, None]
    weight = torch.linspace(0, 1, COLUMNS, device=codes.device)[:, None]
    path = (start + weight * (end - start)).flatten(0, 1)
    if radius is None:
        return path
    return radius * path / path.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def traversals(codes: Tensor) -> Tensor:
    """The first image's code with one dimension varied (d · 16, D), the widest ones first.

    A dimension runs through the middle 96 % of what the test images have there.
    """
    low, high = _range(codes)
    dimensions = widest(codes)
    path = codes[0].repeat(len(dimensions), COLUMNS, 1)
    weight = torch.linspace(0, 1, COLUMNS, device=codes.device)
    for row, dimension in zip(path, dimensions, strict=True):
        row[:, dimension] = low[dimension] + weight * (high - low)[dimension]
    return path.flatten(0, 1)


def widest(codes: Tensor) -> Tensor:
    """The dimensions (d,) of codes (N, D) that traversals show, the widest ones first."""
    low, high = _range(codes)
    return (high - low).argsort(descending=True, stable=True)[:_DIMENSIONS]


def plane(codes: Tensor) -> Tensor:
    """A square grid (256, 2) over the middle of two-dimensional codes, the second one upwards."""
    low, high = _range(codes)
    weight = torch.linspace(0, 1, COLUMNS, device=codes.device)[:, None]
    x, y = (low + weight * (high - low)).unbind(1)
    return torch.stack([x.repeat(COLUMNS), y.flip(0).repeat_interleave(COLUMNS)], 1)


def _range(codes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = codes.double().quantile(codes.new_tensor(_INSIDE, dtype=torch.double), dim=0)
    return low.to(codes.dtype), high.to(codes.dtype)


class Film:
    """Samples of the same noise after a few epochs of training, a line each.

    Lines wait on disk, so that those before an interruption are there after it.

    Args:
        folder: The cell's folder; ``film.png`` is written there.
        seed: The cell's.
        epochs: How many there will be, or would be without a limit on time.
    """

    def __init__(self, folder: Path, seed: int, epochs: int) -> None:
        self.folder = folder
        self.seed = seed
        self.last = 0
        self.wanted = {round(epochs ** (i / (_FRAMES - 1))) for i in range(_FRAMES)}

    def take(self, model: VAE, epoch: int) -> None:
        """Add a line if this epoch is one of those to show; leaves model and noise as they were."""
        self.last = epoch
        if epoch not in self.wanted:
            return
        was = model.training
        model.eval()
        with seeded(self.seed, "film"), torch.no_grad():
            z = model.posterior.prior().sample(torch.Size((COLUMNS,)))
            frame = model.pictures(z).float().cpu().contiguous()
        model.train(was)
        self._waiting.mkdir(parents=True, exist_ok=True)
        files.write_bytes(self._waiting / str(epoch), save({"frame": frame}))

    @property
    def _waiting(self) -> Path:
        return self.folder / "film"

    def write(self) -> list[int]:
        """Write the lines that were taken up to the last epoch; return their epochs."""
        taken = [epoch for epoch in sorted(self.wanted) if epoch <= self.last]
        paths = {epoch: self._waiting / str(epoch) for epoch in taken}
        frames = {e: load(path.read_bytes())["frame"] for e, path in paths.items() if path.exists()}
        if frames:
            files.write_bytes(self.folder / "film.png", grid(torch.cat([*frames.values()])))
        shutil.rmtree(self._waiting, ignore_errors=True)
        return list(frames)
