"""Error of log-likelihood estimates against decoder gradients, for each start, kernel, schedule.

    python benchmarks/ais.py [--data-dir DIR] [--images 32] [--longest 1000]

Linear-Gaussian models have an exact log p(x). A 50-200-200-784 tanh Bernoulli decoder is trained
here for a few epochs on the MNIST of DIR (torchvision's layout, DIR/MNIST/raw), or a smaller one on
scikit-learn's digits where there is none; its reference is a long run of many chains. The classical
protocol (Wu et al. 2017) is HMC with 10 leapfrog steps from the prior along a sigmoid schedule,
with step sizes frozen as everywhere here. `--longest` is the number of its temperatures.
"""

import argparse
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.nn.functional import softplus

from vaebench.evaluation import Kernel, ais, bdmc, importance_bound

CLASSICAL = {
    "start": "prior",
    "schedule": "sigmoid",
    "kernel": Kernel(leapfrogs=10, friction=math.inf, acceptance=0.65),
}


def standard(latents: int, dtype: torch.dtype = torch.float32) -> Independent:
    return Independent(Normal(torch.zeros(latents, dtype=dtype), torch.ones(latents).to(dtype)), 1)


class LinearGaussian:
    """log N(x; z W, sigma²) for images of the model."""

    def __init__(self, w: Tensor, x: Tensor, sigma: float) -> None:
        self.w, self.x, self.sigma = w, x, sigma

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        residual = (self.x - z @ self.w) / self.sigma
        constant = math.log(self.sigma * math.sqrt(2 * math.pi))
        return (-0.5 * residual.square() - constant).sum(-1)

    def subset(self, images: Tensor) -> "LinearGaussian":
        """The same of some images."""
        return LinearGaussian(self.w, self.x[images], self.sigma)


class Bernoulli:
    """log p(x|z) of binary images under a decoder's logits."""

    def __init__(self, decoder: nn.Module, x: Tensor) -> None:
        self.decoder, self.x = decoder, x

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        logits = self.decoder(z)
        return (self.x * logits - softplus(logits)).sum(-1)

    def subset(self, images: Tensor) -> "Bernoulli":
        """The same of some images."""
        return Bernoulli(self.decoder, self.x[images])


def row(name: str, found: Any, truth: Tensor, seconds: float) -> None:
    off = found.log_likelihood - truth
    print(
        f"| {name} | {found.evaluations.double().mean():.0f} | {off.mean():+.3f} | "
        f"{off.abs().mean():.3f} | {found.se.mean():.3f} | {int((~found.trusted).sum())} | "
        f"{seconds:.1f} |",
        flush=True,
    )


def header(title: str) -> None:
    print(f"\n{title}\n\n| | gradients/image | bias | mean abs. error | s.e. | distrusted | s |")
    print("|---|---|---|---|---|---|---|")


def timed(function: Any, *args: Any, **options: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    found = function(*args, **options)
    return found, time.perf_counter() - begin


def linear_gaussian(images: int, longest: int) -> None:
    header("Linear-Gaussian models, 784 pixels, exact log p(x)")
    generator = torch.Generator().manual_seed(0)
    for latents, sigma, slope in (
        (5, 0.3, 0),
        (10, 0.1, 0),
        (20, 0.3, 1),
        (50, 0.1, 0),
        (50, 0.5, 1),
    ):
        w = torch.randn(latents, 784, generator=generator, dtype=torch.float64) / 10
        w *= torch.logspace(0, -slope, latents, dtype=torch.float64)[:, None]
        z = torch.randn(images, latents, generator=generator, dtype=torch.float64)
        x = z @ w + sigma * torch.randn(images, 784, generator=generator, dtype=torch.float64)
        covariance = w.T @ w + sigma**2 * torch.eye(784, dtype=torch.float64)
        truth = MultivariateNormal(torch.zeros(784, dtype=torch.float64), covariance).log_prob(x)
        model = LinearGaussian(w.float(), x.float(), sigma)
        shrunk = torch.linalg.inv(w @ w.T / sigma**2 + torch.eye(latents, dtype=torch.float64))
        scale = shrunk.diagonal().rsqrt().reciprocal()
        q = Independent(
            Normal((x @ w.T @ shrunk / sigma**2 + 0.5 * scale).float(), scale.float()), 1
        )
        name = f"{latents} latents, sigma {sigma}, decay 10^-{slope}: "
        for label, options in {
            "default": {},
            "from q, half a deviation off": {"proposal": q, "start": "proposal"},
            "classical": {"steps": longest // 10, **CLASSICAL},
        }.items():
            row(name + label, *_with_truth(model, latents, images, truth, options))


def _with_truth(
    model: Any, latents: int, images: int, truth: Tensor, options: dict[str, Any]
) -> tuple[Any, Tensor, float]:
    found, seconds = timed(ais, model, standard(latents), batch=images, **options)
    return found, truth, seconds


def training_data(folder: str | None) -> tuple[Tensor, Tensor, int, int]:
    """Grey images in [0, 1] to train and test on (N, X), latents and hidden units."""
    raw = Path(folder or "", "MNIST", "raw")
    if folder and raw.is_dir():
        parts = [
            torch.frombuffer(bytearray(path.read_bytes()[16:]), dtype=torch.uint8).reshape(-1, 784)
            for path in (raw / "train-images-idx3-ubyte", raw / "t10k-images-idx3-ubyte")
        ]
        return parts[0] / 255, parts[1] / 255, 50, 200
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().data).float() / 16
    return x[:1500], x[1500:], 10, 64


def trained(folder: str | None, images: int) -> tuple[nn.Module, Tensor, Independent, int]:
    """A decoder, binary test images, the encoder's q(z|x) for them, and the number of latents."""
    torch.manual_seed(0)
    x, test, latents, hidden = training_data(folder)
    pixels = x.shape[1]

    def mlp(*sizes: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.Tanh()]
        return nn.Sequential(*layers[:-1])

    encoder = mlp(pixels, hidden, hidden, 2 * latents)
    decoder = mlp(latents, hidden, hidden, pixels)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    epochs = math.ceil(4000 / (len(x) / 200))
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(200):
            picture = torch.bernoulli(x[index])
            loc, log_scale = encoder(picture).chunk(2, -1)
            z = loc + log_scale.exp() * torch.randn_like(loc)
            kl = 0.5 * (loc.square() + (2 * log_scale).exp() - 1) - log_scale
            loss = (kl.sum(-1) - Bernoulli(decoder, picture)(z)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    decoder.requires_grad_(False)
    picture = torch.bernoulli(test[:images])
    with torch.no_grad():
        loc, log_scale = encoder(picture).chunk(2, -1)
    return decoder, picture, Independent(Normal(loc, log_scale.exp()), 1), latents


def bernoulli(folder: str | None, images: int, longest: int) -> None:
    decoder, x, q, latents = trained(folder, images)
    model, prior, batch = Bernoulli(decoder, x), standard(latents), len(x)
    reference = ais(model, prior, batch=batch, proposal=q, steps=1500, chains=32, seed=1)
    truth = reference.log_likelihood
    shape = "-".join(str(m.in_features) for m in decoder if isinstance(m, nn.Linear))
    header(
        f"Bernoulli decoder {shape}-{x.shape[1]}, {batch} test images, reference {truth.mean():.3f}"
    )
    row("reference", reference, truth, math.nan)

    def line(name: str, **options: Any) -> None:
        found, seconds = timed(ais, model, prior, batch=batch, **options)
        row(name, found, truth, seconds)

    line("default, q known", proposal=q)
    line("default, q unknown")
    for start in ("laplace", "laplace-diagonal", "proposal", "prior"):
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
        for start, n in (("laplace", 100), ("prior", 1000)):
            line(
                f"{start}, hais, {schedule}, {n}",
                start=start,
                schedule=schedule,
                steps=n,
                proposal=q,
            )
    line("prior, hais, speed, 1000, resampled", start="prior", steps=1000, resample=True)
    for n in (longest // 10, longest // 3, longest):
        line(f"classical, {n} temperatures", steps=n, **CLASSICAL)
    for samples in (100, 5000):
        bound, seconds = timed(importance_bound, model, prior, q, samples=samples)
        off = bound - truth
        print(
            f"| importance bound, {samples} draws | ({samples} forward) | {off.mean():+.3f} | "
            f"{off.abs().mean():.3f} | | | {seconds:.1f} |"
        )

    def simulate(z: Tensor) -> Bernoulli:
        return Bernoulli(decoder, torch.bernoulli(decoder(z).sigmoid()))

    found, seconds = timed(bdmc, simulate, prior, batch=64)
    print(
        f"\nBDMC on 64 simulated images, default settings: gap {found.mean_gap:.3f} "
        f"± {found.mean_gap_se:.3f} nats ({seconds:.1f} s)"
    )
    speed(model, latents, batch)


def speed(model: Bernoulli, latents: int, batch: int, chains: int = 16) -> None:
    """Time for a gradient within annealing, against a bare forward and backward pass."""
    u = torch.randn(chains, batch, latents).requires_grad_()
    prior = standard(latents)
    ratios = []
    for kernel, steps in (("hais", 120), ("hmc", 40)) * 3:
        _, short = timed(ais, model, prior, batch=batch, kernel=kernel, steps=2)
        found, long = timed(ais, model, prior, batch=batch, kernel=kernel, steps=steps)
        gradients = (found.evaluations - found.pilot_evaluations)[0].item() / chains
        _, bare = timed(lambda: [torch.autograd.grad(model(u).sum(), u) for _ in range(60)])
        ratios.append((kernel, (long - short) / gradients / (bare / 60), bare / 60))
    for kernel in ("hais", "hmc"):
        best = min(ratio for name, ratio, _ in ratios if name == kernel)
        print(f"Time of a gradient within {kernel}: {best:.2f} × a bare forward and backward pass")
    print(
        f"(which takes {1e3 * min(bare for _, _, bare in ratios):.1f} ms for {chains * batch} rows)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with MNIST in torchvision's layout")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument(
        "--longest", type=int, default=1000, help="temperatures of the classical protocol"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    linear_gaussian(arguments.images, arguments.longest)
    bernoulli(arguments.data_dir, arguments.images, arguments.longest)


if __name__ == "__main__":
    main()
