"""Growth of time and memory with image size, latents, draws, variants and seeds: no GPU needed.

    python benchmarks/growth.py

Time is processor seconds with one thread, the least of three; memory is what the process grows by
at its peak, 1 MiB or less counting as 1. A power law is fitted to each series, b in time ~ (what
grows)^b. What is not in proportion pulls b below 1; a term that grew faster than the work would
push it above. Table and curves are written to results/performance/growth.md, .csv and .svg.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from bare import cell, images
from page import Page
from peer import forget, peak

from vaebench import report
from vaebench.config.resources import Place
from vaebench.config.settings import Settings
from vaebench.config.yaml_files import dump
from vaebench.data.observation import grey
from vaebench.evaluation import importance_bound
from vaebench.execution.worker import plan
from vaebench.registry.catalogue import catalogue
from vaebench.report.sheet import sheets
from vaebench.report.tables import write
from vaebench.runs import files, records
from vaebench.runs.run import Run
from vaebench.training.build import build

TOLERANCE = 0.15
_TERMS = ("valid_objective", "valid_elbo", "seconds", "lr", "train_kl", "train_log_px")
REPEATS = 3


@dataclass(frozen=True)
class Series:
    """Seconds and MiB for several sizes of one thing.

    Attributes:
        name: What grows, and what is measured.
        sizes: How much of it.
        seconds: The least of the repeats.
        mebibytes: Growth of the process at its peak.
    """

    name: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    mebibytes: tuple[float, ...]

    def exponent(self, values: tuple[float, ...]) -> float:
        """The slope of a line through logarithms, least squares."""
        return float(np.polyfit(np.log(self.sizes), np.log(np.array(values)), 1)[0])


def measured(
    name: str, sizes: Iterable[int], prepare: Callable[[int], Callable[[], Any]]
) -> Series:
    """Time and memory of what `prepare` returns for each size."""
    rows = []
    for size in sizes:
        function = prepare(size)
        function()
        seconds = []
        for _ in range(REPEATS):
            begin = time.process_time()
            function()
            seconds.append(time.process_time() - begin)
        forget()
        before = peak()
        function()
        rows.append((size, min(seconds), max(1.0, peak() - before)))
    return Series(name, *zip(*rows, strict=True))


def _step(side: int, latent: int, draws: int, backbone: str, batch: int) -> Callable[[], Any]:
    """A gradient of the K-sample bound."""
    data = images(None, batch, side)
    chosen = catalogue().variant("iwae" if draws > 1 else "gaussian")
    model = build(cell(backbone, latent=latent), chosen, data).model
    x = torch.bernoulli(grey(data.train.pixels, data.levels))

    def step() -> None:
        model.zero_grad()
        (-chosen.objective(model.draw(x, draws)).mean()).backward()

    return step


def _bound(draws: int) -> Callable[[], Any]:
    """The importance bound of 16 images."""
    data = images(None, 16)
    model = build(cell("mlp"), catalogue().variant("gaussian"), data).model
    model.eval().requires_grad_(False)
    x = torch.bernoulli(grey(data.train.pixels, data.levels))

    def bound() -> Any:
        q, p = model.encode(x), model.posterior.prior()
        return importance_bound(lambda z: model.log_likelihood(z, x), p, q, samples=draws)

    return bound


def _run(variants: int, seeds: int, page: bool = False) -> Callable[[], Any]:
    """Planning and tables of a run whose cells have made-up results, or planning and its page.

    For a page each cell has 60 epochs of six terms, and four numbers of each of 400 test images.
    """
    plugins = tuple(f"gmm[components={2 + i}]" for i in range(variants))
    settings = Settings(plugins=plugins, seeds=tuple(range(seeds)))
    place = Place(Path("nowhere"), "cpu")
    random = np.random.default_rng(0)
    parent = tempfile.TemporaryDirectory()
    folder = Path(parent.name)
    planned = plan(settings, place)
    files.write_text(folder / "config.yaml", dump(planned.settings))
    cells = [task.cell for task in planned.tasks]
    for one in cells:
        metrics = {
            name: {"value": random.normal(-80), "se": 0.1, "n": 400, "better": "higher"}
            | {"unit": "nats"}
            for name in ("elbo", "iwae_256", "log_likelihood_ais", "mse")
        }
        record = files.failure(one, None) | {"status": "done", "metrics": metrics}
        record |= {"timings": {"total": 1.0}, "train": {"seconds": 1.0}}
        (folder / "cells" / one.id).mkdir(parents=True)
        if page:
            epochs = pd.DataFrame(random.normal(80, 1, (60, 6)), columns=_TERMS)
            epochs.to_csv(folder / "cells" / one.id / "history.csv", index_label="epoch")
            images = pd.DataFrame(random.normal(-80, 1, (400, 4)), columns=list(metrics))
            images.to_csv(folder / "cells" / one.id / "per_image.csv", index_label="index")
        files.write_result(folder / "cells" / one.id, record)
    records.write(folder, cells)

    def work(parent: Any = parent) -> None:
        plan(settings, place)
        if page:
            report.write(folder)
            return
        run = Run(folder, pending=True)
        write.write(run, sheets(run), folder)

    return work


def all_series() -> Iterable[tuple[str, tuple[int, ...], Callable[[int], Callable[[], Any]]]]:
    """What `measured` takes of every series, cheapest first."""
    yield (
        "latent dimension: training step, mlp, 64 images",
        (32, 128, 512, 2048),
        lambda n: _step(28, n, 1, "mlp", 64),
    )
    yield (
        "K: training step, mlp, 64 images",
        (2, 8, 32, 128),
        lambda n: _step(28, 32, n, "mlp", 64),
    )
    yield ("K: importance bound, mlp, 16 images", (200, 800, 3200, 12800), _bound)
    yield (
        "pixels: training step, resnetv2, 8 images",
        (8**2, 16**2, 32**2, 64**2),
        lambda n: _step(round(n**0.5), 32, 1, "resnetv2", 8),
    )
    yield ("variants: plan and tables, 2 seeds", (8, 16, 32, 64), lambda n: _run(n, 2))
    yield ("seeds: plan and tables, 2 variants", (8, 32, 128, 256), lambda n: _run(2, n))
    yield (
        "cells: plan and report, 8 variants",
        (80, 800, 10_000),
        lambda n: _run(8, n // 8, page=True),
    )


def picture(found: list[Series], path: Path) -> None:
    """Time and memory against size, relative to the smallest, with the diagonal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for panel, attribute, label in zip(
        figure.subplots(1, 2), ("seconds", "mebibytes"), ("time / s", "memory / MiB"), strict=True
    ):
        for one in found:
            panel.loglog(one.sizes, getattr(one, attribute), "-o", markersize=3, label=one.name)
        low, high = panel.get_ylim()
        sizes = np.array([10.0, 1e4])
        for shift in (1e-6, 1e-4, 1e-2, 1, 1e2):
            panel.plot(sizes, shift * sizes, color="lightgrey", linewidth=0.7, zorder=0)
        panel.set(xlabel="size", ylabel=label, ylim=(low, high))
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", default="results/performance")
    parser.add_argument("--only", default="", help="of the series, those whose names begin so")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(arguments.out)
    stem = "_".join(filter(None, ("growth", arguments.only)))
    page = Page("Growth", out / f"{stem}.md")
    page("b of the power law in time and memory; at most 1 but for measurement errors is asked.\n")
    page.header("what grows, and what is measured", "sizes", "seconds", "MiB", "b time", "b memory")
    found, rows = [], []
    for name, sizes, prepare in all_series():
        if not name.startswith(arguments.only):
            continue
        found.append(one := measured(name, sizes, prepare))
        slopes = one.exponent(one.seconds), one.exponent(one.mebibytes)
        page.row(
            one.name,
            ", ".join(map(str, one.sizes)),
            ", ".join(f"{s:.3g}" for s in one.seconds),
            ", ".join(f"{m:.0f}" for m in one.mebibytes),
            *(f"{b:.2f}" for b in slopes),
        )
        for size, seconds, mebibytes in zip(one.sizes, one.seconds, one.mebibytes, strict=True):
            rows.append({"series": one.name, "size": size, "seconds": seconds, "MiB": mebibytes})
    worst = max(max(one.exponent(one.seconds), one.exponent(one.mebibytes)) for one in found)
    verdict = "No term grows" if worst <= 1 + TOLERANCE else "A term grows"
    page(f"\n{verdict} faster than the work: the largest b is {worst:.2f}.")
    page.close()
    pd.DataFrame(rows).to_csv(out / f"{stem}.csv", index=False, float_format="%.4g")
    picture(found, out / f"{stem}.svg")


if __name__ == "__main__":
    main()
