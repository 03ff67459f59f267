"""Exact log p of models of `linear[kind=parts]` beside the most that its training items allow.

    vaebench run --config benchmarks/study/linear-parts.yaml --out RUN
    python benchmarks/linear_parts.py RUN

A linear decoder with z ~ N(0, I) and noise N(0, I) is the Gaussian N(b, W Wᵀ + I). That of the
greatest likelihood on the training items has the leading eigenvectors of their covariance, each
with its eigenvalue less the noise (Tipping & Bishop 1999, eq. 7, with the noise known).
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from vaebench.config.resources import Place
from vaebench.data.dataset import Dataset
from vaebench.execution.restore import restore
from vaebench.runs import records
from vaebench.runs.described import described
from vaebench.statistics import interval
from vaebench.training.build import Resolved, read


def model_law(resolved: Resolved) -> MultivariateNormal:
    """What a model with linear decoders says of whole items."""
    layers = [part.decoder[0] for part in resolved.model.observation.parts.values()]
    weight = torch.cat([layer.weight.double() for layer in layers])
    bias = torch.cat([layer.bias.double() for layer in layers])
    return MultivariateNormal(bias, weight @ weight.T + torch.eye(len(bias)).double())


def best_law(items: Tensor, latent: int) -> MultivariateNormal:
    """The law of greatest likelihood that `latent` dimensions allow, for items (N, S)."""
    x = items.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    weight = vectors[:, -latent:] * (values[-latent:] - 1).clamp_min(0).sqrt()
    return MultivariateNormal(mean, weight @ weight.T + torch.eye(len(mean)).double())


def of(dataset: Dataset, resolved: Resolved, latent: int) -> tuple[float, float, float]:
    """Mean log p of the test items, nats: of the model, of the best one, and of the source."""
    test = dataset.test.stored
    laws = (model_law(resolved), best_law(dataset.train.stored, latent))
    model, best = (law.log_prob(test.double()).mean().item() for law in laws)
    return model, best, dataset.log_prob(test).mean().item()


def main() -> None:
    """A row for each variant: the mean over seeds with half of its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    rows = []
    for record in records.cells(run):
        if record["status"] != "done" or "likelihood" in record["variant"]["deviations"]:
            continue
        cell = described(record).cell
        data = read(cell, Place(Path("data"), "cpu"))
        model, best, source = of(data, restore(run, record, data), cell.latent)
        rows.append((cell.plugin, cell.seed, model, best, source))
    table = pd.DataFrame(rows, columns=["variant", "seed", "model", "best", "source"])
    print(f"Source {table['source'].mean():.3f}, greatest likelihood {table['best'].mean():.3f}.\n")
    print(
        "| variant | log p, exact | below the greatest likelihood | seeds |\n|---|---:|---:|---:|"
    )
    for variant, part in table.groupby("variant", sort=False):
        below = (part["best"] - part["model"]).to_numpy()
        low, high, _ = interval(below)
        error = f"{below.mean():.4f} ± {(high - low) / 2:.4f}"
        print(f"| `{variant}` | {part['model'].mean():.3f} | {error} | {len(part)} |")


if __name__ == "__main__":
    main()
