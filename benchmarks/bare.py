"""A training loop without vaebench's harness, the images and cells that both sides train on.

The loop is what one would write by hand for speed: grey images in memory as float32, dynamic
binarisation with one call a batch, fused Adam, a cosine schedule, the analytic KL, running sums on
the device that are read once an epoch, a validation pass an epoch, and the best weights kept. It
uses the modules that the harness trains. With a critic it makes the same second step.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, softplus
from torch.optim import Adam

from vaebench.config.cell import Cell
from vaebench.data.images import Images, Request, Split
from vaebench.models.draw import held
from vaebench.models.vae import VAE
from vaebench.registry.lookup import load

VALIDATION = 1000


def images(folder: str | None, train: int, side: int = 28) -> Images:
    """MNIST's first images where a folder holds it, else smooth random ones of any size."""
    if folder and side == 28:
        found = load("mnist", Request(Path(folder)))
        parts = [
            Split(split.pixels[:count])
            for split, count in (
                (found.train, train),
                (found.validation, VALIDATION),
                (found.test, 1000),
            )
        ]
        return Images(*parts)
    count = train + VALIDATION + 1000
    noise = torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(0))
    pixels = (255 * (8 * avg_pool2d(noise, 5, 1, 2)).sigmoid().square()).to(torch.uint8)
    return Images(*(Split(part) for part in pixels.split([train, VALIDATION, 1000])))


def cell(backbone: str, critic: str = "none", **changes: object) -> Cell:
    """The cell that both sides train: by default vaebench's for images of 28×28 pixels."""
    settings: dict[str, object] = {
        "plugin": "gaussian",
        "dataset": "mnist",
        "backbone": backbone,
        "width": {"mlp": 200}.get(backbone, 16),
        "critic": critic,
        "critic_weight": 10.0,
        "latent": 32,
        "likelihood": "bernoulli",
        "binarise": "dynamic",
        "image_size": None,
        "seed": 0,
        "epochs": 2,
        "batch_size": 64,
        "lr": 1e-3,
        "lr_schedule": "cosine",
        "kl_warmup": 0,
        "evaluate": "best",
        "data": "",
    }
    return Cell(**settings | changes)  # type: ignore[arg-type]


def _elbo(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """The ELBO (B,) and decoder outputs."""
    normal = model.posterior(model.encoder(x)).base_dist
    loc, scale = normal.loc, normal.scale
    output = model.decoder(loc + scale * torch.randn_like(loc))
    log_px = (x * output - softplus(output)).sum((1, 2, 3))
    kl = (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum(1)
    return log_px - kl, output


def _batches(pictures: Tensor, size: int) -> Iterator[Tensor]:
    order = torch.randperm(len(pictures), device=pictures.device)
    for chosen in order[: len(order) // size * size].split(size):
        yield pictures[chosen]


def train(
    model: VAE, critic: nn.Module | None, pictures: Tensor, validation: Tensor, plan: Cell
) -> list[tuple[float, float]]:
    """Train a Gaussian VAE with the ELBO; training and validation ELBO of each epoch."""
    optimiser = Adam(model.parameters(), plan.lr, fused=True)
    if critic is not None:
        against = Adam(critic.parameters(), plan.lr, betas=(0.5, 0.999), fused=True)
    steps, step, history, best, kept = len(pictures) // plan.batch_size, 0, [], -math.inf, {}
    for _ in range(plan.epochs):
        total = torch.zeros((), device=pictures.device)
        model.train()
        for picture in _batches(pictures, plan.batch_size):
            rate = plan.lr * 0.5 * (1 + math.cos(math.pi * step / (steps * plan.epochs)))
            optimiser.param_groups[0]["lr"] = rate
            elbo, output = _elbo(model, torch.bernoulli(picture))
            loss = -elbo.mean()
            if critic is not None:
                fake = output.sigmoid()
                with held([critic]):
                    loss = loss + plan.critic_weight * softplus(-critic(fake)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if critic is not None:
                against.param_groups[0]["lr"] = rate
                real, made = critic(picture), critic(fake.detach())
                loss = softplus(-real).mean() + softplus(made).mean()
                against.zero_grad()
                loss.backward()
                against.step()
            total += elbo.detach().mean()
            step += 1
        model.eval()
        with torch.no_grad():
            parts = validation.split(plan.batch_size)
            found = torch.cat([_elbo(model, torch.bernoulli(part))[0] for part in parts]).mean()
        history.append(((total / steps).item(), found.item()))
        if history[-1][1] > best:
            best = history[-1][1]
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return history
