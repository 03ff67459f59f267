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
from vaebench.data.batches import seen
from vaebench.data.conditions import whole
from vaebench.data.dataset import Dataset, subset
from vaebench.data.observation import grey
from vaebench.evaluation.functional.posteriors import posterior_means
from vaebench.evaluation.grid import COLUMNS, grid
from vaebench.evaluation.metrics.disentanglement import followed
from vaebench.evaluation.metrics.novelty import closest
from vaebench.evaluation.metrics.subject import Subject
from vaebench.models.distributions import sampled
from vaebench.models.items import Items
from vaebench.models.vae import VAE
from vaebench.runs import files

#: Pictures in a grid of samples or of reconstructions.
SHOWN = 32
#: Test images whose codes say where traversals and maps run.
CODES = 512
_PAIRS = 6
_CLASSES = 20
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
        name = samples_under(sampler)
        if not (folder / f"{name}.png").exists():
            yield name, *_samples(other)
    if not (folder / "reconstructions.png").exists():
        yield from _all(subject)


def samples_under(sampler: str) -> str:
    """What samples under a sampler are called in a cell's folder."""
    return f"samples@{re.sub(r'[^A-Za-z0-9.=]+', '_', sampler).strip('_')}"


def _nearest(subject: Subject) -> Iterator[tuple[str, bytes, list[str]]]:
    if (found := subject.made(closest)) is not None:
        samples, rows, _ = zip(*found.pairs(), strict=True)
        near = subset(subject.images.train, torch.tensor(rows))
        training = subject.completed(grey(near.pixels, subject.images.levels), near)
        pictures = subject.completed(subject.samples)[list(samples)]
        yield "nearest", grid(pictures, training.to(subject.device)), []


def _samples(subject: Subject) -> tuple[bytes, list[str]]:
    """A grid of samples, of given classes in a row each, and what its lines show."""
    if subject.images.given != "label":
        return grid(subject.completed(subject.samples[: 2 * SHOWN])), []
    labels = subject.images.test.labels
    assert labels is not None
    rows, words = [], []
    for label in subject.images.classes[:_CLASSES]:
        of = (labels[: len(subject.samples)] == label).nonzero()[:COLUMNS, 0]
        if len(of) == COLUMNS:
            rows.append(subject.samples[of.to(subject.device)])
            words.append(str(label))
    return (grid(torch.cat(rows)), words) if rows else (grid(subject.samples[: 2 * SHOWN]), [])


def _all(subject: Subject) -> Iterator[tuple[str, bytes, list[str]]]:
    if "likelihood" not in subject.variant.deviations:
        yield "samples", *_samples(subject)
    with seeded(subject.seed, "gallery"), torch.no_grad():
        codes = posterior_means(subject.model.posterior(subject.h[:CODES]))[0]
        radius = sphere(subject.p)
        ways = interpolations(codes, radius)
        yield "interpolations", grid(_along(subject, ways, 2)), []
        if radius is None:
            words = followed(subject, widest(codes).tolist())
            yield "traversals", grid(_along(subject, traversals(codes))), words
            if codes.shape[1] == 2:
                yield "map", grid(_along(subject, plane(codes))), []
    # The last one, which says that all are there.
    originals = subject.completed(subject.shown(slice(SHOWN)))
    copies = subject.completed(subject.reconstructions[:SHOWN])
    yield "reconstructions", grid(originals, copies), []


def _along(subject: Subject, path: Tensor, step: int = 0) -> Tensor:
    """What lines of codes decode to, line l under the condition of test image l · `step`."""
    rows = torch.arange(len(path)) // COLUMNS * step
    made = subject.decoded(path, subject.items[rows.to(subject.device)])
    return subject.completed(made, subset(subject.images.test, rows))


def sphere(prior: Distribution) -> float | None:
    """The radius of the sphere that a prior lives on, None where draws differ in length."""
    lengths = prior.sample(torch.Size((64,))).norm(dim=-1)
    mean = lengths.mean().item()
    return mean if mean > 0 and (lengths - mean).abs().max() < 1e-3 * mean else None


def interpolations(codes: Tensor, radius: float | None = None) -> Tensor:
    """Straight ways (P · 16, D) between the codes of consecutive images, on the sphere if any."""
    pairs = min(_PAIRS, len(codes) // 2)
    return way(codes[: 2 * pairs : 2], codes[1 : 2 * pairs : 2], COLUMNS, radius)


def way(start: Tensor, end: Tensor, stops: int, radius: float | None = None) -> Tensor:
    """Straight ways (P · stops, D) from codes (P, D) to others, on the sphere if any."""
    weight = torch.linspace(0, 1, stops, device=start.device)[:, None]
    path = (start[:, None] + weight * (end - start)[:, None]).flatten(0, 1)
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
        images: The data set; where it has conditions, frames are drawn under those of the first
            validation images. Of what is no picture there is no film.
    """

    def __init__(self, folder: Path, seed: int, epochs: int, images: Dataset) -> None:
        self.folder = folder
        self.seed = seed
        rows = torch.arange(COLUMNS) % len(images.validation)
        self.shown = subset(images.validation, rows)
        self.levels = images.levels
        self.last = 0
        pictured = images.kind == "pictures"
        self.wanted = {round(epochs ** (i / (_FRAMES - 1))) for i in range(_FRAMES * pictured)}

    def take(self, model: VAE, epoch: int) -> None:
        """Add a line if this epoch is one of those to show; leaves model and noise as they were."""
        self.last = epoch
        if epoch not in self.wanted:
            return
        was = model.training
        model.eval()
        with seeded(self.seed, "film"), torch.no_grad():
            frame = self._frame(model).float().cpu().contiguous()
        model.train(was)
        self._waiting.mkdir(parents=True, exist_ok=True)
        files.write_bytes(self._waiting / str(epoch), save({"frame": frame}))

    def _frame(self, model: VAE) -> Tensor:
        device = next(model.parameters()).device
        pixels, known = self.shown.pixels, seen(self.shown, self.levels)
        under = model.see(Items(pixels, known).to(device))
        made = model.pictures(sampled(model.prior(under), COLUMNS), under)
        return made if known.given is None else whole(made, known.given.to(device))

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
