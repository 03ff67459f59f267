"""How many log-likelihoods of real models AIS flags, and what they cost.

    PYTHONPATH=. python benchmarks/ais_real.py --data-dir DIR [--images 64] [--only WORD ...]

Small decoders of MNIST, trained here for a minute each, with Bernoulli or Gaussian pixels. No q is
given. Images that are flagged are run again with ten times the steps, twice: where these agree
within half a nat with the estimate, and with each other, the flag was false. Prints a Markdown
table.
"""

import argparse
import math
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from ais_models import Bernoulli, standard, training_data
from torch import Tensor, nn

from vaebench.evaluation import Estimate, ais

_LONG = 3000  # steps of the runs that judge a flag


class Model(NamedTuple):
    """A decoder of `latents` z; `sigma` of Gaussian pixels, 0 for Bernoulli ones."""

    title: str
    latents: int
    sigma: float
    activation: type[nn.Module]


MODELS = (
    Model("2 latents, Bernoulli", 2, 0.0, nn.Tanh),
    Model("5 latents, Bernoulli", 5, 0.0, nn.Tanh),
    Model("20 latents, Bernoulli", 20, 0.0, nn.Tanh),
    Model("3 latents, Gaussian, sigma .1", 3, 0.1, nn.Tanh),
    Model("16 latents, Gaussian, sigma .1, ReLU", 16, 0.1, nn.ReLU),
    Model("16 latents, Gaussian, sigma .15", 16, 0.15, nn.Tanh),
)


class Gaussian:
    """log N(x; decoder(z), sigma²) of images x (B, X)."""

    def __init__(self, decoder: nn.Module, x: Tensor, sigma: float) -> None:
        self.decoder, self.x, self.sigma = decoder, x, sigma

    def __call__(self, z: Tensor) -> Tensor:
        """log p(x|z) (K, B)."""
        scaled = (self.x - self.decoder(z)) / self.sigma
        constant = math.log(self.sigma * math.sqrt(2 * math.pi))
        return (-0.5 * scaled.square() - constant).sum(-1)

    def subset(self, images: Tensor) -> "Gaussian":
        """The same of some images."""
        return Gaussian(self.decoder, self.x[images], self.sigma)


def layers(activation: type[nn.Module], *sizes: int) -> nn.Sequential:
    """Linear layers with activations between them."""
    found = [m for pair in pairwise(sizes) for m in (nn.Linear(*pair), activation())]
    return nn.Sequential(*found[:-1])


def likelihood(model: Model, decoder: nn.Module, x: Tensor) -> Bernoulli | Gaussian:
    """log p(x|z) of images under a model."""
    return Gaussian(decoder, x, model.sigma) if model.sigma else Bernoulli(decoder, x)


def observed(model: Model, grey: Tensor) -> Tensor:
    """Pixels as the model takes them: binary, or grey with a little noise."""
    noisy = grey + 0.05 * torch.randn_like(grey)
    return noisy if model.sigma else torch.bernoulli(grey)


def trained(model: Model, folder: str, images: int, steps: int = 3000) -> Bernoulli | Gaussian:
    """The likelihood of test images under a trained decoder."""
    train, test, _, hidden = training_data(folder)
    torch.manual_seed(0)
    pixels = train.shape[1]
    encoder = layers(model.activation, pixels, hidden, hidden, 2 * model.latents)
    decoder = layers(model.activation, model.latents, hidden, hidden, pixels)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    for _ in range(steps):
        x = observed(model, train[torch.randint(len(train), (100,))])
        loc, log_scale = encoder(x).chunk(2, -1)
        z = loc + log_scale.exp() * torch.randn_like(loc)
        kl = 0.5 * (loc.square() + (2 * log_scale).exp() - 1) - log_scale
        loss = (kl.sum(-1) - likelihood(model, decoder, x)(z)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    decoder.requires_grad_(False)
    return likelihood(model, decoder, observed(model, test[:images]))


def false_flags(density: Bernoulli | Gaussian, latents: int, found: Estimate) -> int:
    """How many of the images that are flagged have an estimate that long runs confirm."""
    flagged = (~found.trusted).nonzero()[:, 0]
    if not len(flagged):
        return 0
    part, prior = density.subset(flagged), standard(latents)
    long = [ais(part, prior, batch=len(flagged), steps=_LONG, seed=seed) for seed in (1, 2)]
    values = torch.stack([found.log_likelihood[flagged], *(run.log_likelihood for run in long)])
    return int(((values.amax(0) - values.amin(0)) < 0.5).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder with MNIST/raw")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--only", nargs="*", default=[], help="words that a model's title has")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| MNIST | flagged | of these falsely | gradients | s |\n|---|---:|---:|---:|---:|")
    for model in MODELS:
        if given.only and not any(word in model.title for word in given.only):
            continue
        density = trained(model, given.data_dir, given.images)
        clock = time.monotonic()
        found = ais(density, standard(model.latents), batch=given.images)
        seconds = time.monotonic() - clock
        flagged = int((~found.trusted).sum())
        false = false_flags(density, model.latents, found)
        gradients = found.evaluations.double().mean()
        print(
            f"| {model.title} | {flagged} | {false} | {gradients:.0f} | {seconds:.0f} |", flush=True
        )
        for sentence in found.warnings:
            print("<!--", sentence, "-->", flush=True)


if __name__ == "__main__":
    main()
