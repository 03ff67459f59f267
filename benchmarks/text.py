"""What a token costs in training, side by side with a bare PyTorch loop over the same networks.

    python benchmarks/text.py [--data-dir DIR] [--pairs 5]

The loop is what one would write by hand for speed: batches of sentences of nearly the same length,
padded to their longest, `torch.nn.functional.cross_entropy`, fused Adam, the analytic KL and a
validation pass an epoch. Each figure is the median of ratios of pairs, in seconds of processor time
with one thread. DIR holds WordNet in `wordnet/`; without it there is no row for it. The table is
written to results/performance/text.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from bare import cell
from page import Page, median_of, paired
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.optim import Adam

from vaebench.config.cell import Cell
from vaebench.data.dataset import subset
from vaebench.data.images import Request
from vaebench.data.text import Text
from vaebench.models.backbones import BACKBONES
from vaebench.models.vae import VAE
from vaebench.registry.catalogue import catalogue
from vaebench.registry.lookup import load
from vaebench.training.build import build
from vaebench.training.fit import fit

VALIDATION, LIMIT = 500, 1.1
SETTINGS: dict[str, object] = {
    "latent": 16,
    "likelihood": "tokens",
    "binarise": "none",
    "critic_weight": 0.0,
    "lr_schedule": "constant",
    "evaluate": "last",
}


def text(name: str, folder: Path, count: int) -> Text:
    """The first sequences of a data set."""
    found = load(name, Request(folder))
    assert isinstance(found, Text)
    train, validation = subset(found.train, slice(count)), subset(found.validation, slice(None))
    return replace(found, train=train, validation=subset(validation, slice(VALIDATION)))


def elbo(model: VAE, x: Tensor, start: int) -> Tensor:
    """The ELBO (B,) of sequences (B, T), -1 behind their end."""
    normal = model.posterior(model.encoder(x)).base_dist
    loc, scale = normal.loc, normal.scale
    before = pad(x[:, :-1].clamp_min(0), (1, 0), value=start)
    logits = model.decoder(loc + scale * torch.randn_like(loc), before)
    log_px = -cross_entropy(logits.transpose(1, 2), x, ignore_index=-1, reduction="none").sum(1)
    return log_px - (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum(1)


def batches(tokens: Tensor, lengths: Tensor, size: int) -> list[Tensor]:
    """Batches of one length or nearly so, in random order, without what is padding in all rows."""
    order = torch.randperm(len(tokens))[: len(tokens) // size * size]
    parts = order[lengths[order].argsort()].split(size)
    return [tokens[parts[i]][:, : lengths[parts[i]].max()] for i in torch.randperm(len(parts))]


def train(model: VAE, data: Text, plan: Cell) -> None:
    """Train a Gaussian VAE with the ELBO."""
    optimiser = Adam(model.parameters(), plan.lr, fused=True)
    sides = [(s.tokens.long(), s.lengths) for s in (data.train, data.validation)]
    for _ in range(plan.epochs):
        model.train()
        for x in batches(*sides[0], plan.batch_size):
            loss = -elbo(model, x, data.levels).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            for x in batches(*sides[1], plan.batch_size):
                elbo(model, x, data.levels)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    gaussian = catalogue().variant("gaussian")
    path = Path(__file__).parents[1] / "results" / "performance" / "text.md"
    page = Page("What a token costs in training", path)
    page.header(
        "data set", "backbone", "harness, s", "bare loop, s", "ratio (middle half)", "asked"
    )
    names = [("hmm", 6400), ("grammar", 6400)]
    if arguments.data_dir:
        names.append(("wordnet", 640))
    for name, count in names:
        data = text(name, arguments.data_dir or Path("data"), count)
        for backbone in ("lstm", "gru", "transformer"):
            width = BACKBONES[backbone].width(data.shape)
            plan = cell(backbone, dataset=name, width=width, **SETTINGS)

            def ours(plan: Cell = plan, data: Text = data) -> None:
                fit(build(plan, gaussian, data), lambda row, model: None)

            def theirs(plan: Cell = plan, data: Text = data) -> None:
                train(build(plan, gaussian, data).model, data, plan)

            ours(), theirs()
            one, other = paired(ours, theirs, arguments.pairs)
            page.row(
                f"{name}, V = {data.levels}",
                backbone,
                f"{one.mean():.2f}",
                f"{other.mean():.2f}",
                median_of(one / other),
                f"≤ {LIMIT}",
            )
    page.close()


if __name__ == "__main__":
    main()
