"""vaebench's speed, side by side with a bare PyTorch loop and with Pythae. No GPU is needed.

    python benchmarks/speed.py [--data-dir DIR] [--pairs 5] [--only harness,likelihood,…]

Each figure is the median of ratios of pairs that were measured one after the other, in alternating
order, in seconds of processor time with one thread. DIR holds MNIST in torchvision's layout;
without it smooth random images of the same shape serve. `pip install pythae` for the rows against
it. The table is written to results/performance/speed.md and .csv.
"""

import argparse
import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bare import cell, images, train
from page import Page, median_of, paired

from vaebench.compute.precision import reduced
from vaebench.data.observation import grey
from vaebench.evaluation import importance_bound
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import build
from vaebench.training.fit import fit

KINDS = ("VAE", "IWAE", "IAF", "IAF of equal size", "SVAE")
DRAWS, IMAGES = 100, 1000
COLUMNS = ("what", "ours", "theirs", "ratio (middle half)", "asked", "met", "torch")


@dataclass(frozen=True)
class Row:
    """One figure: both sides in seconds or MiB, their ratios, and what was asked for."""

    what: str
    ours: np.ndarray
    theirs: np.ndarray
    ratios: np.ndarray
    asked: str
    met: bool
    digits: int = 2

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        sides = (f"{np.median(side):.{self.digits}f}" for side in (self.ours, self.theirs))
        met = "yes" if self.met else "no"
        return self.what, *sides, median_of(self.ratios), self.asked, met, torch.__version__


def at_most(what: str, ours: np.ndarray, theirs: np.ndarray, limit: float, digits: int = 2) -> Row:
    """Ours over theirs shall be at most `limit`."""
    ratios = ours / theirs
    met = bool(np.median(ratios) <= limit)
    return Row(what, ours, theirs, ratios, f"≤ {limit:g}", met, digits)


def at_least(what: str, ours: np.ndarray, theirs: np.ndarray, limit: float) -> Row:
    """Theirs over ours shall be at least `limit`: so many times faster."""
    ratios = theirs / ours
    return Row(what, ours, theirs, ratios, f"≥ {limit:g}", bool(np.median(ratios) >= limit))


def harness(arguments: argparse.Namespace) -> Iterator[Row]:
    """Whole trainings of two epochs, set-up and validation included."""
    gaussian = catalogue().variant("gaussian")
    for backbone, critic, count, limit in (
        ("mlp", "none", 12_800, 1.25),
        ("resnetv2", "none", 384, 1.05),
        ("resnetv2", "patchgan", 384, 1.05),
    ):
        plan, data = cell(backbone, critic), images(arguments.data_dir, count)
        pictures, validation = (
            grey(split.pixels, data.levels) for split in (data.train, data.validation)
        )

        def ours(plan: Any = plan, data: Any = data) -> Any:
            return fit(build(plan, gaussian, data), lambda row, validated: None)

        def theirs(
            plan: Any = plan, data: Any = data, x: Any = pictures, held: Any = validation
        ) -> Any:
            made = build(plan, gaussian, data)
            return train(made.model, made.critic, x, held, plan)

        if backbone == "mlp":
            ours(), theirs()
        steps = plan.epochs * (count // plan.batch_size)
        name = f"training, {backbone}, critic {critic}, {steps} steps of {plan.batch_size}, s"
        yield at_most(f"{name}: harness / bare loop", *paired(ours, theirs, arguments.pairs), limit)


def _side(side: str, count: int, folder: str | None) -> dict[str, dict[str, float]]:
    script = str(Path(__file__).with_name("peer.py"))
    command = [sys.executable, script, side, "mlp", str(count), *([folder] if folder else [])]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def pythae(arguments: argparse.Namespace) -> Iterator[Row]:
    """One epoch of each model at MLP size, each side in a process of its own."""
    rows, count = [], arguments.epoch
    for pair in range(max(2, arguments.pairs // 2)):
        order = ("vaebench", "pythae")[:: 1 if pair % 2 == 0 else -1]
        rows.append({side: _side(side, count, arguments.data_dir) for side in order})
    for kind in KINDS:
        seconds, peak = (
            [np.array([row[s][kind][key] for row in rows]) for s in ("vaebench", "pythae")]
            for key in ("seconds", "peak")
        )
        limit = 1.2 if kind == "IAF" else 1.3
        yield at_least(
            f"{kind}, mlp, epoch of {count} images, s: Pythae / vaebench", *seconds, limit
        )
        yield at_most(f"{kind}, peak memory, MiB: vaebench / Pythae", *peak, 1.0, 0)


def _bound(
    backbone: str, data: Any, count: int = IMAGES
) -> tuple[Any, torch.Tensor, Callable[[], Any]]:
    """A model, observed test images, and its importance bound for all of them."""
    plan, gaussian = cell(backbone), catalogue().variant("gaussian")
    model = build(plan, gaussian, data).model
    model.eval().requires_grad_(False)
    x = torch.bernoulli(grey(data.test.pixels, data.levels))[:count]

    def ours() -> Any:
        q, p = model.encode(x), model.posterior.prior()
        return importance_bound(lambda z: model.log_likelihood(z, x), p, q, samples=DRAWS)

    return model, x, ours


def likelihood(arguments: argparse.Namespace) -> Iterator[Row]:
    """The importance bound against the decoder passes that it needs, and against Pythae's."""
    for backbone, count in (("mlp", IMAGES), ("resnetv2", 20)):
        data = images(arguments.data_dir, 64)
        model, x, _ = _bound(backbone, data)
        x = x[:count]

        def ours(model: Any = model, x: Any = x) -> Any:
            q, p = model.encode(x), model.posterior.prior()
            return importance_bound(lambda z: model.log_likelihood(z, x), p, q, samples=DRAWS)

        def bare(model: Any = model, x: Any = x) -> None:
            z = torch.randn(DRAWS, len(x), 32)
            for part in z.split(max(1, 512 // len(x))):
                model.log_likelihood(part, x)

        with torch.no_grad():
            name = f"importance bound, K = {DRAWS}, {count} images, {backbone}, s"
            sides = paired(ours, bare, arguments.pairs)
            yield at_most(f"{name}: ours / bare decoder passes with likelihood", *sides, 1.05)
    if find_spec("pythae") is not None:
        from peer import pythae_model

        _, x, ours = _bound("mlp", data)
        theirs = pythae_model("VAE", cell("mlp"), data).eval()
        with torch.no_grad():
            sides = paired(
                ours,
                lambda: theirs.get_nll(x, n_samples=DRAWS, batch_size=DRAWS),
                max(2, arguments.pairs // 2),
            )
        name = f"importance bound, K = {DRAWS}, {IMAGES} images, mlp, s"
        yield at_least(f"{name}: Pythae's get_nll / ours", *sides, 3.5)


def precision(arguments: argparse.Namespace) -> Iterator[Row]:
    """Gradients of ResNetV2 with bfloat16 in the networks and without."""
    data, gaussian = images(arguments.data_dir, 64), catalogue().variant("gaussian")
    for width in (16, 32):
        model = build(cell("resnetv2", width=width), gaussian, data).model
        x = torch.bernoulli(grey(data.train.pixels, data.levels))

        def step(kind: str, model: Any = model, x: Any = x) -> None:
            with reduced([model.encoder, model.decoder], kind, torch.device("cpu")):
                model.zero_grad()
                (-gaussian.objective(model.draw(x, 1)).mean()).backward()

        step("32"), step("bf16-mixed")
        sides = paired(lambda: step("bf16-mixed"), lambda: step("32"), 3 * arguments.pairs)
        name = f"step of {len(x)} images, resnetv2 of width {width}, s: float32 / bf16-mixed"
        yield at_least(name, *sides, 1.4)


#: A process that prints seconds of a step and of a bound, after one each, and its peak in MiB.
MEMORY = """
import json, sys
import torch
from page import timed
from peer import peak
from speed import _bound, cell, catalogue, build, images, grey
from vaebench.compute.memory import keep_freed

if sys.argv[1] == "kept":
    keep_freed()
torch.set_num_threads(1)
data, gaussian = images(None, 64), catalogue().variant("gaussian")
model = build(cell("resnetv2"), gaussian, data).model
x = torch.bernoulli(grey(data.train.pixels, data.levels))

def step():
    model.zero_grad()
    (-gaussian.objective(model.draw(x, 1)).mean()).backward()

bound = _bound("resnetv2", data, 10)[2]
step()
seconds = [timed(step)[1] for _ in range(5)]
with torch.no_grad():
    bound()
    more = [timed(bound)[1] for _ in range(2)]
print(json.dumps({"step": sorted(seconds)[2], "bound": min(more), "peak": peak()}))
"""


def memory(arguments: argparse.Namespace) -> Iterator[Row]:
    """Workers that keep what is freed, against glibc's defaults, each in a process of its own."""
    rows = []
    for pair in range(arguments.pairs):
        order = ("kept", "default")[:: 1 if pair % 2 == 0 else -1]
        rows.append({})
        for side in order:
            command = [sys.executable, "-c", MEMORY, side]
            folder = {"PYTHONPATH": str(Path(__file__).parent)}
            found = subprocess.run(
                command, env=os.environ | folder, capture_output=True, text=True, check=True
            )
            rows[-1][side] = json.loads(found.stdout)
    kept, default = (
        {key: np.array([row[side][key] for row in rows]) for key in ("step", "bound", "peak")}
        for side in ("kept", "default")
    )
    for key, what in (("step", "step of 64 images"), ("bound", f"bound, K = {DRAWS}, 10 images")):
        name = f"{what}, resnetv2, s: glibc's default / freed memory kept"
        yield at_least(name, kept[key], default[key], 1)
    name = "peak memory of the two, MiB: freed memory kept / glibc's default"
    yield at_most(name, kept["peak"], default["peak"], 1.25, 0)


STOPWATCH = """
import os, time
import torch
from vaebench import Gaussian, Variant, elbo, hookimpl

def first(draw):
    if torch.is_grad_enabled() and not os.path.exists(os.environ["STOPWATCH"]):
        with open(os.environ["STOPWATCH"], "w") as file:
            file.write(repr(time.time()))
    return elbo(draw)

@hookimpl
def vaebench_variants():
    return [Variant("stopwatch", Gaussian, first)]
"""


def startup(arguments: argparse.Namespace) -> Iterator[Row]:
    """From the call of `vaebench run` on digits to the first training step of a cell."""
    processor: list[float] = []
    clock: list[float] = []
    for _ in range(arguments.pairs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "stopwatch.py").write_text(STOPWATCH)
            info = folder / "stopwatch-0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stopwatch\nVersion: 0\n")
            (info / "entry_points.txt").write_text("[vaebench]\nstopwatch = stopwatch\n")
            environment = os.environ | {"PYTHONPATH": name, "STOPWATCH": str(folder / "first")}
            command = "-m vaebench run --quiet --plugins stopwatch --epochs 1 --metrics elbo"
            begin = time.time()
            process = subprocess.Popen(
                [sys.executable, *shlex.split(command), "--out", str(folder / "run")],
                env=environment,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            while not (folder / "first").exists() and process.poll() is None:
                time.sleep(0.02)
            clock.append(time.time() - begin)
            processor.append(_spent_by(process.pid))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    what = "`vaebench run` on digits to the first step, s of processor (theirs: s of clock)"
    seconds = np.array(processor)
    met = bool(np.median(seconds) <= 8)
    yield Row(what, seconds, np.array(clock), seconds, "≤ 8 s", met)


def _spent_by(session: int) -> float:
    """Processor seconds of the processes of a session so far."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(values[3]) == session:
            total += sum(map(int, values[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


PARTS = {part.__name__: part for part in (harness, pythae, likelihood, precision, memory, startup)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with MNIST in torchvision's layout")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epoch", type=int, default=50_000, help="images of an epoch")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--out", default="results/performance")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    out = Path(arguments.out)
    page = Page("Speed", out / "speed.md")
    page(
        "Processor seconds with one thread (of all processes for the start-up), medians over pairs"
    )
    page("in alternating order. benchmarks/bare.py and benchmarks/peer.py say what the sides do.\n")
    page.header(*COLUMNS)
    rows = []
    for part in arguments.only.split(","):
        if part == "pythae" and find_spec("pythae") is None:
            page.row("against Pythae", "", "", "not run: pip install pythae", "", "", "")
            continue
        for row in PARTS[part](arguments):
            rows.append(row.cells())
            page.row(*rows[-1])
    page.close()
    with (out / "speed.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
