"""vaebench on one GPU, side by side with a bare PyTorch loop and with Pythae.

    python benchmarks/gpu.py [--data-dir DIR] [--minutes 9] [--only recorded,harness,…]
    python benchmarks/gpu.py --rehearse

Seconds are those of a clock, the GPU's work included; ratios are of runs one after the other on
the same card. DIR holds MNIST in torchvision's layout; without it smooth random images of the same
shape serve, and nothing is reproduced. `pip install pythae` for the rows against it. A part begins
only if minutes are left, and one that fails costs its own rows. `--rehearse` goes through all of
it at toy size, on a CPU too, and writes nothing into results. The table is
results/performance/gpu.md and .csv.
"""

import argparse
import contextlib
import csv
import io
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from bare import cell, images, train
from page import Page
from peer import PLUGINS, pythae_model, pythae_side, vaebench_side
from torch.profiler import ProfilerActivity, profile

from vaebench.config.cell import Cell
from vaebench.data.dataset import subset
from vaebench.data.images import Images
from vaebench.data.observation import grey
from vaebench.evaluation import ais, importance_bound
from vaebench.models.items import items
from vaebench.registry.catalogue import catalogue
from vaebench.training.build import Resolved, build
from vaebench.training.fit import Trained, fit

COLUMNS = ("what", "ours", "theirs", "ratio", "asked", "met")


class Row(NamedTuple):
    """A figure: both sides, their ratio, and what was asked of it; all as text."""

    what: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    asked: str = ""
    met: str = ""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        device: Where.
        folder: Of MNIST, or None.
        images: Of an epoch.
        draws: K of bounds.
        toy: Whether this is a rehearsal, at the smallest sizes that go through all of it.
        end: When no further part begins, by the monotonic clock.
    """

    device: torch.device
    folder: str | None
    images: int
    draws: int
    toy: bool
    end: float

    @property
    def skips_compiling(self) -> bool:
        """Whether compilers, which take long on a CPU, are left out."""
        return self.device.type == "cpu"


def ratio(what: str, ours: float, theirs: float, asked: str = "", limit: float = 0) -> Row:
    """Seconds of theirs over ours, which shall be at least `limit` where that is given."""
    found = theirs / ours
    met = "" if not limit else "yes" if found >= limit else "no"
    return Row(what, f"{ours:.3f}", f"{theirs:.3f}", f"{found:.2f}", asked, met)


#: Widths, by whether it is a rehearsal.
WIDTH: dict[bool, dict[str, Any]] = {False: {}, True: {"width": 4}}


def small(size: Size, count: int) -> Images:
    """Images of which `count` are for training; a few of each split in a rehearsal."""
    data = images(size.folder, 64 if size.toy else count)
    if not size.toy:
        return data
    return replace(data, validation=subset(data.validation, slice(64)))


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clocked(function: Callable[[], Any], size: Size, times: int = 3) -> float:
    """The least seconds of a few calls, after one that is not timed."""
    function()
    found = []
    for _ in range(1 if size.toy else times):
        wait(size.device)
        begin = time.perf_counter()
        function()
        wait(size.device)
        found.append(time.perf_counter() - begin)
    return min(found)


def made(plan: Cell, data: Images, size: Size) -> Resolved:
    """The cell's networks and data."""
    return build(plan, catalogue().variant(plan.plugin), data, size.device)


def steps_a_second(plan: Cell, data: Images, size: Size, **how: bool) -> tuple[float, Trained]:
    """Steps of training a second in all epochs but the first, validation included."""
    ends: list[float] = []

    def report(row: Any, validated: Any) -> None:
        wait(size.device)
        ends.append(time.perf_counter())

    trained = fit(made(plan, data, size), report, **how)
    steps = len(data.train) // plan.batch_size * (len(ends) - 1)
    return steps / (ends[-1] - ends[0]), trained


def recorded(size: Size) -> Iterator[Row]:
    """Which variants' steps can be recorded, and what that gives; the losses must agree."""
    data = small(size, 1280)
    names = ["gaussian", "iwae", "vmf"] if size.toy else catalogue().select(("all",))
    for name in names:
        variant = catalogue().variant(name)
        if variant.needs:
            continue
        plan = cell("mlp", plugin=name, epochs=3, batch_size=16 if size.toy else 64)
        try:
            plain, one = steps_a_second(plan, data, size, replay=False)
            fast, other = steps_a_second(plan, data, size, replay=True)
        except Exception as error:
            yield Row(f"steps of {name}, mlp", f"{type(error).__name__}: {error}".splitlines()[0])
            continue
        first, second = (each.history[-1]["train_objective"] for each in (one, other))
        said = other.remarks[0] if other.remarks else f"objectives differ by {first - second:.1e}"
        what = f"steps of {name} a second, mlp: recorded / one by one ({said})"
        yield Row(what, f"{fast:.0f}", f"{plain:.0f}", f"{fast / plain:.2f}")


def harness(size: Size) -> Iterator[Row]:
    """Whole trainings against a loop by hand."""
    for backbone, critic, count, limit in (
        ("mlp", "none", 25_600, 1.3),
        ("resnetv2", "none", 3_200, 1.05),
        ("resnetv2", "patchgan", 3_200, 1.05),
    ):
        data = small(size, count)
        plan = cell(backbone, critic, epochs=2, **WIDTH[size.toy])
        x, held = (
            grey(s.pixels, data.levels).to(size.device) for s in (data.train, data.validation)
        )

        def theirs(plan: Cell = plan, data: Images = data, x: Any = x, held: Any = held) -> None:
            one = made(plan, data, size)
            one.model.to(size.device)
            critic = one.critic and one.critic.to(size.device)
            train(one.model, critic, x, held, plan)

        bare = clocked(theirs, size)
        for how, options in (("recorded steps", {}), ("steps one by one", {"replay": False})):

            def ours(plan: Cell = plan, data: Images = data, o: Any = options) -> None:
                fit(made(plan, data, size), lambda row, validated: None, **o)

            seconds = clocked(ours, size, 2)
            what = f"training, {backbone}, critic {critic}, {how}, s: harness / bare loop"
            found, asked = seconds / bare, f"≤ {limit}" if how == "recorded steps" else ""
            met = "" if not asked else "yes" if found <= limit else "no"
            yield Row(what, f"{seconds:.2f}", f"{bare:.2f}", f"{found:.2f}", asked, met)


def pythae(size: Size) -> Iterator[Row]:
    """One epoch of each model at MLP size."""
    if find_spec("pythae") is None:
        yield Row("against Pythae", "not run: pip install pythae")
        return
    data = small(size, size.images)
    for kind, plugin in PLUGINS.items():
        plan = cell("mlp", plugin=plugin, binarise="fixed", epochs=1, lr_schedule="constant")
        seconds = {}
        for side in ("ours", "theirs"):
            with tempfile.TemporaryDirectory() as out, quiet():

                def once(
                    side: str = side, out: str = out, kind: str = kind, plan: Any = plan
                ) -> None:
                    if side == "ours":
                        vaebench_side(plan, data, str(size.device))()
                    else:
                        pythae_side(kind.partition(" ")[0], plan, data, out, str(size.device))()

                seconds[side] = clocked(once, size, 2)
        what = f"{kind}, mlp, epoch of {len(data.train)} images, s: Pythae / vaebench"
        yield ratio(what, seconds["ours"], seconds["theirs"], "≥ 1.2", 1.2)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what others print to themselves."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def bound(size: Size) -> Iterator[Row]:
    """The importance bound against the decoder passes that it needs, and against Pythae's."""
    data = images(size.folder, 64)
    plan, count = cell("mlp"), 20 if size.toy else 1000
    model = made(plan, data, size).model.to(size.device).eval().requires_grad_(False)
    x = torch.bernoulli(grey(data.test.pixels, data.levels))[:count].to(size.device)

    def ours() -> Any:
        return importance_bound(
            lambda z: model.log_likelihood(z, x),
            model.posterior.prior(),
            model.encode(x),
            samples=size.draws,
        )

    def passes() -> None:
        z = torch.randn(size.draws, len(x), plan.latent, device=size.device)
        for part in z.split(max(1, 65536 // len(x))):
            model.log_likelihood(part, x)

    name = f"importance bound, K = {size.draws}, {count} images, mlp, s"
    with torch.no_grad():
        mine = clocked(ours, size)
        least = clocked(passes, size)
        yield Row(
            f"{name}: ours / decoder passes with likelihood",
            f"{mine:.3f}",
            f"{least:.3f}",
            f"{mine / least:.2f}",
        )
        if find_spec("pythae") is None:
            yield Row("importance bound against Pythae", "not run: pip install pythae")
            return
        theirs = pythae_model("VAE", plan, data).to(size.device).eval()
        few = x[: max(1, count // 20)]
        slow = clocked(
            lambda: theirs.get_nll(few, n_samples=size.draws, batch_size=100), size, 1
        ) * (count / len(few))
    yield ratio(
        f"{name}: Pythae's get_nll (of {len(few)} images, scaled) / ours", mine, slow, "≥ 10", 10
    )


def annealing(size: Size) -> Iterator[Row]:
    """What a step of AIS launches and takes, compiled and not."""
    data, plan = images(size.folder, 64), cell("mlp")
    model = made(plan, data, size).model.to(size.device).eval().requires_grad_(False)
    count = 4 if size.toy else 64
    x = items(torch.bernoulli(grey(data.test.pixels, data.levels))[:count]).to(size.device)

    def run(steps: int, compile: bool) -> None:
        ais(
            lambda z: model.log_likelihood(z, x),
            model.posterior.prior(),
            batch=len(x),
            proposal=model.encode(x),
            steps=steps,
            compile=compile,
        )

    few, many = (2, 4) if size.toy else (50, 150)
    seconds = {}
    for compile in (False, True):
        if compile and size.skips_compiling:
            continue
        # With few steps the rest, the start and its search, is what is left over.
        short, long = (clocked(lambda n=n, c=compile: run(n, c), size, 2) for n in (few, many))
        launches = [launched(lambda n=n, c=compile: run(n, c), size) for n in (few, many)]
        seconds[compile] = (long - short) / (many - few)
        kernels = (launches[1] - launches[0]) / (many - few)
        how = "compiled" if compile else "as written"
        what = f"step of AIS, {len(x)} images, 16 chains, mlp, {how}: kernels, milliseconds"
        yield Row(what, f"{kernels:.0f}", f"{1e3 * seconds[compile]:.3f}")
    if len(seconds) == 2:
        what = "step of AIS, ms: as written / compiled"
        yield ratio(what, *(1e3 * seconds[compile] for compile in (True, False)))


def launched(function: Callable[[], Any], size: Size) -> int:
    """The number of kernels that a function has a GPU run; on a CPU the operations."""
    on_gpu = size.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        function()
        wait(size.device)
    if not on_gpu:
        return sum(event.count for event in found.key_averages())
    kernels = [e for e in found.events() if str(e.device_type).endswith("CUDA")]
    return len(kernels)


def precision(size: Size) -> Iterator[Row]:
    """Trainings of ResNetV2 with bfloat16 in the networks, or compiled, and without."""
    ways: dict[str, tuple[str, dict[str, bool]]] = {
        "bf16-mixed": ("bf16-mixed", {}),
        "compiled": ("32", {"compile": True}),
        "compiled, bf16-mixed": ("bf16-mixed", {"compile": True}),
    }
    for width, batch in ((4, 16),) if size.toy else ((16, 64), (32, 64), (64, 256)):
        data = small(size, 20 * batch)
        plan = cell("resnetv2", width=width, batch_size=batch, epochs=3)
        plain, _ = steps_a_second(plan, data, size)
        for how, (kind, options) in ways.items():
            if options and (size.skips_compiling or width == 16):
                continue
            found, _ = steps_a_second(replace(plan, precision=kind), data, size, **options)
            what = f"steps a second, resnetv2 of width {width}, batches of {batch}: {how} / float32"
            asked = "≥ 1.4" if how == "bf16-mixed" else ""
            met = "" if not asked else "yes" if found >= 1.4 * plain else "no"
            yield Row(what, f"{found:.1f}", f"{plain:.1f}", f"{found / plain:.2f}", asked, met)


def packing(size: Size) -> Iterator[Row]:
    """Cells an hour of `vaebench run`, one at a time and sharing the GPU."""
    many = 2 if size.toy else 12
    dataset = "mnist" if size.folder and not size.toy else "digits"
    common = f"gaussian --dataset {dataset} --backbone mlp --width 200 --latent 32 --critic none"
    common += f" --epochs {1 if size.toy else 4} --metrics elbo --device {size.device.type} --quiet"
    found: dict[str, float] = {}
    peak = ""
    for how, cells, options in (
        ("one at a time, steps one by one", max(1, many // 6), "--no-replay"),
        ("one at a time", max(1, many // 4), ""),
        ("12 at a time", many, "--pack 12"),
    ):
        if size.toy and how == "one at a time":
            continue
        if size.device.type == "cpu" and "--pack" in options:
            options = options.replace("--pack", "--jobs")
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "vaebench", "run", *shlex.split(common)]
            command += ["--seeds", f"0..{cells - 1}", "--out", out, *shlex.split(options)]
            command += ["--data-dir", size.folder] if size.folder else []
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            seconds = time.perf_counter() - begin
            if done.returncode:
                yield Row(f"cells an hour, {how}", (done.stderr or done.stdout)[-200:].strip())
                continue
            records = [json.loads(p.read_text()) for p in Path(out).glob("cells/*/result.json")]
            peak = str(max(record["train"]["peak_memory"] for record in records))
        found[how] = 3600 * cells / seconds
        first = next(iter(found.values()))
        asked = "≥ 4" if "12" in how else ""
        met = "" if not asked else "yes" if found[how] >= 4 * first else "no"
        what = f"cells an hour, gaussian on {dataset}, mlp, {how} / the first line"
        yield Row(
            what, f"{found[how]:.0f}", f"{first:.0f}", f"{found[how] / first:.2f}", asked, met
        )
    yield Row("peak memory of a cell's training there, MiB", peak)


def long(size: Size) -> Iterator[Row]:
    """The `long` budget of a published table in the minutes that are left; finished cells stay."""
    if size.folder is None or size.toy or size.device.type != "cuda":
        yield Row("long budget of iwae-table1", "not run: it takes MNIST and a GPU")
        return
    out = Path(os.environ.get("OUT", "results")) / "iwae-table1-long"
    command = [sys.executable, "-m", "vaebench", "reproduce", "iwae-table1", "--budget", "long"]
    command += ["--pack", "5", "--device", "cuda", "--data-dir", size.folder, "--out", str(out)]
    begin, left = time.perf_counter(), size.end - time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        process.wait(max(30.0, left))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    seconds = time.perf_counter() - begin
    done = sum(1 for _ in out.glob("runs/*/cells/*/result.json"))
    yield Row(f"long budget of iwae-table1, {done} of 9 cells, five at a time, s", f"{seconds:.0f}")


PARTS = {
    part.__name__: part
    for part in (harness, pythae, bound, precision, recorded, packing, annealing, long)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with MNIST in torchvision's layout")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes; nothing in results")
    parser.add_argument("--out", default="results/performance")
    arguments = parser.parse_args()
    if not (arguments.rehearse or torch.cuda.is_available()):
        parser.error("there is no GPU here; --rehearse goes through the script without one")
    size = Size(
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        arguments.data_dir,
        25_600,
        50 if arguments.rehearse else 1000,
        arguments.rehearse,
        time.monotonic() + 60 * arguments.minutes,
    )
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch if arguments.rehearse else arguments.out)
        page = Page("Speed on a GPU", out / "gpu.md")
        page.header(*COLUMNS)
        rows = list(measured(arguments.only.split(","), size, page))
        page.close()
        failed = [row.what for row in rows if row.ours.startswith("failed: ")]
        with (out / "gpu.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def measured(parts: list[str], size: Size, page: Page) -> Iterator[Row]:
    """The rows of all parts, each shown when it is there."""
    for name in parts:
        begin = time.monotonic()
        if begin > size.end:
            rows: Iterator[Row] = iter([Row(name, "not run: no time left")])
        else:
            rows = PARTS[name](size)
        try:
            for row in rows:
                page.row(*(text.replace("|", "/").replace("\n", " ") for text in row))
                yield row
        except Exception as error:
            traceback.print_exc()
            row = Row(name, f"failed: {type(error).__name__}: {error}".replace("\n", " ")[:200])
            page.row(*row)
            yield row
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
