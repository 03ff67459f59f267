"""Error of log-likelihood estimates against decoder gradients, for each start, kernel, schedule.

    python benchmarks/ais.py [--data-dir DIR] [--images 16] [--classical 10000] [--run RUN]

Linear-Gaussian models have an exact log p(x). A 50-200-200-784 tanh Bernoulli decoder is trained
here for a few epochs on the MNIST of DIR (torchvision's layout, DIR/MNIST/raw), or a smaller one on
scikit-learn's digits where there is none; its reference is a long run of many chains. The classical
protocol (Wu et al. 2017) is HMC with 10 leapfrog steps from the prior along a sigmoid schedule,
with step sizes frozen as everywhere here; `--classical` is the number of its temperatures. RUN is a
finished run on digits whose figures are held against long runs on the same images. The tables and
the curves are written to results/performance/ais.md, .csv and .svg.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ais_errors import Errors, curves, saving
from ais_models import Bernoulli, LinearGaussian, standard, trained
from page import Page, timed
from torch import Tensor, nn

from vaebench import load
from vaebench.data.batches import observed
from vaebench.data.images import Request
from vaebench.evaluation import Kernel, ais, bdmc, importance_bound
from vaebench.registry import lookup

CLASSICAL = {
    "start": "prior",
    "schedule": "sigmoid",
    "kernel": Kernel(leapfrogs=10, friction=math.inf, acceptance=0.65),
}
MODELS = ((5, 0.3, 0), (10, 0.1, 0), (20, 0.3, 1), (50, 0.1, 0), (50, 0.5, 1))
STARTS = ("laplace", "laplace-diagonal", "proposal", "prior")


def linear_gaussian(page: Page, images: int, classical: int) -> None:
    errors = Errors(page, "Linear-Gaussian models, 784 pixels, exact log p(x)")
    generator = torch.Generator().manual_seed(0)
    brackets = []
    for latents, sigma, decay in MODELS:
        model = LinearGaussian(latents, sigma, decay, generator)
        x = model.images(torch.randn(images, latents, generator=generator), generator)
        truth, prior = model.evidence(x), standard(latents)
        for label, options in {
            "default": {},
            "from q, half a deviation off": {"proposal": model.missed(x), "start": "proposal"},
            "classical": {"steps": classical, **CLASSICAL},
        }.items():
            found, seconds = timed(ais, model.likelihood(x), prior, batch=images, **options)
            errors.add(f"{model.name}: {label}", found, truth, seconds)
        brackets.append(bracket(model))
    page("\nBDMC on 64 simulated images, from q half a deviation off:\n")
    page.header("", "lower bound - exact", "upper bound - exact", "contains 0 within 2 s.e.")
    for row in brackets:
        page.row(*row)


def bracket(model: LinearGaussian) -> tuple[str, str, str, str]:
    simulated: list[Tensor] = []

    def simulate(z: Tensor) -> Any:
        simulated.append(model.images(z))
        return model.likelihood(simulated[-1]), model.missed(simulated[-1])

    found = bdmc(simulate, standard(model.latents), batch=64, start="proposal")
    truth = model.evidence(simulated[-1])
    off = [bound - truth for bound in (found.lower.log_likelihood, found.upper)]
    (low, low_se), (high, high_se) = ((one.mean(), one.std() / math.sqrt(len(one))) for one in off)
    inside = low <= 2 * low_se and high >= -2 * high_se
    return (
        model.name,
        f"{low:+.4f} ± {low_se:.4f}",
        f"{high:+.4f} ± {high_se:.4f}",
        str(bool(inside)),
    )


def bernoulli(page: Page, folder: str | None, images: int, classical: int) -> pd.DataFrame:
    decoder, x, q, latents = trained(folder, images)
    model, prior, batch = Bernoulli(decoder, x), standard(latents), len(x)
    reference, seconds = timed(
        ais, model, prior, batch=batch, proposal=q, steps=3000, chains=64, seed=1
    )
    truth = reference.log_likelihood
    shape = "-".join(str(m.in_features) for m in decoder if isinstance(m, nn.Linear))
    errors = Errors(page, f"Bernoulli decoder {shape}-{x.shape[1]}, {batch} test images")
    errors.add(f"reference, 64 chains, mean {truth.mean():.3f}", reference, truth, seconds)

    def line(name: str, **options: Any) -> None:
        found, seconds = timed(ais, model, prior, batch=batch, **options)
        errors.add(name, found, truth, seconds)

    line("default, q known", proposal=q)
    line("default, q unknown")
    for start in STARTS:
        for kernel, steps in (("hais", (30, 100, 300, 1000)), ("hmc", (10, 33, 100, 333))):
            for n in steps:
                line(
                    f"{start}, {kernel}, speed, {n}",
                    start=start,
                    kernel=kernel,
                    steps=n,
                    proposal=q,
                )
    for schedule in ("sigmoid", "linear"):
        for start in ("laplace", "prior"):
            for n in (30, 100, 300, 1000):
                line(
                    f"{start}, hais, {schedule}, {n}",
                    start=start,
                    schedule=schedule,
                    steps=n,
                    proposal=q,
                )
    line("prior, hais, speed resampled, 1000", start="prior", steps=1000, resample=True)
    for n in (classical // 100, classical // 30, classical // 10, classical // 3, classical):
        line(f"prior, hmc of 10 leapfrogs, sigmoid (classical), {n}", steps=n, **CLASSICAL)
    for samples in (100, 5000):
        bound, seconds = timed(importance_bound, model, prior, q, samples=samples)
        errors.add_bound(samples, bound, truth, seconds)

    def simulate(z: Tensor) -> Bernoulli:
        return Bernoulli(decoder, torch.bernoulli(decoder(z).sigmoid()))

    found, seconds = timed(bdmc, simulate, prior, batch=64)
    page(
        f"\nBDMC on 64 simulated images, default settings: gap {found.mean_gap:.3f} "
        f"± {found.mean_gap_se:.3f} nats ({seconds:.1f} s)."
    )
    frame = pd.DataFrame(errors.rows[1:])
    saving(page, frame)
    speed(page, model, latents, batch)
    return frame


def speed(page: Page, model: Bernoulli, latents: int, batch: int, chains: int = 16) -> None:
    """Time for a gradient within annealing, against a bare forward and backward pass."""
    u = torch.randn(chains, batch, latents).requires_grad_()
    prior = standard(latents)
    kinds: dict[str, dict[str, Any]] = {
        "hais": {},
        "hmc": {"kernel": "hmc"},
        "hais, compiled": {"compile": True},
    }
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    ais(model, prior, batch=batch, steps=9, compile=True)
    for kind, steps in (("hais", 120), ("hmc", 40), ("hais, compiled", 120)) * 5:
        _, short = timed(ais, model, prior, batch=batch, steps=2, **kinds[kind])
        found, long = timed(ais, model, prior, batch=batch, steps=steps, **kinds[kind])
        gradients = (found.evaluations - found.pilot_evaluations)[0].item() / chains
        _, bare = timed(lambda: [torch.autograd.grad(model(u).sum(), u) for _ in range(60)])
        ratios[kind].append((long - short) / gradients / (bare / 60))
    page()
    for kernel, found in ratios.items():
        page(
            f"Time of a gradient within {kernel}: {sorted(found)[len(found) // 2]:.2f} × a bare "
            f"forward and backward pass of {chains * batch} rows (median of {len(found)} pairs)."
        )


def finished(page: Page, folder: str, images: int) -> None:
    """The figures of a finished run against long runs on the same images."""
    run = load(folder)
    recorded = run.per_image[run.per_image["metric"] == "log_likelihood_ais"]
    page(f"\n## Default run on digits, {folder}: first {images} test images\n")
    page.header(
        "", "gradients/image", "bias", "mean abs. error", "reference s.e.", "AIS share of time"
    )
    test = lookup.load("digits", Request(Path())).test
    for cell, rows in recorded.groupby("cell"):
        model, record = run.model(str(cell)), run.records[str(cell)]
        x = observed(test, model.likelihood, "test")[:images]
        value = torch.tensor(rows.sort_values("index")["value"].to_numpy()[:images])
        with torch.no_grad():
            q = model.encode(x)
        reference = ais(
            lambda z, model=model, x=x: model.log_likelihood(z, x),
            model.posterior.prior(),
            batch=len(x),
            proposal=q,
            steps=1000,
            chains=32,
            seed=1,
        )
        off = value - reference.log_likelihood
        cost = record["metrics"]["log_likelihood_ais"]["depends"]["evaluations"]
        share = record["timings"]["ais"] / record["timings"]["total"]
        page.row(
            record["variant"]["name"],
            cost,
            f"{off.mean():+.4f}",
            f"{off.abs().mean():.4f}",
            f"{reference.se.mean():.4f}",
            f"{share:.2f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with MNIST in torchvision's layout")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument(
        "--classical", type=int, default=10_000, help="temperatures of the classical protocol"
    )
    parser.add_argument("--run", default="results/example", help="finished run on digits")
    parser.add_argument("--only", default="linear,bernoulli,digits", help="comma-separated")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", default="results/performance")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    out = Path(arguments.out)
    page = Page("Error of log-likelihoods against their cost", out / "ais.md")
    parts = arguments.only.split(",")
    if "linear" in parts:
        linear_gaussian(page, arguments.images, max(1, arguments.classical // 10))
    if "bernoulli" in parts:
        frame = bernoulli(page, arguments.data_dir, arguments.images, arguments.classical)
        frame.to_csv(out / "ais.csv", index=False, float_format="%.5g")
        curves(frame, out / "ais.svg")
    if "digits" in parts:
        finished(page, arguments.run, arguments.images)
    page.close()


if __name__ == "__main__":
    main()
