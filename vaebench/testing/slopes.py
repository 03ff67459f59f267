"""Derivatives along a path and the changes that they must add up to."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaebench.testing.probes import Probes
from vaebench.testing.report import Report
from vaebench.testing.statistics import vanishing_mean
from vaebench.testing.ways import plain

REPLICATES = 64
#: Draws are made this many at a time.
CHUNK = 4096
#: Gradients of greater kurtosis than this have no mean that a sample could tell.
HEAVY = 400


def derivatives(value: Tensor, at: Sequence[Tensor]) -> list[Tensor]:
    """The derivatives of a scalar, zero where nothing connects it to a tensor."""
    if not value.requires_grad:
        return [torch.zeros_like(a) for a in at]
    found = torch.autograd.grad(value, at, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(at, found, strict=True)]


def derivatives_along(values: Callable[[Tensor], Tensor], positions: Tensor) -> Tensor:
    """The derivatives (N, J) of values (N, J) with respect to their own position (N,)."""
    found = []
    for part in positions.split(CHUNK):
        t = part.clone().requires_grad_()
        columns = values(t).unbind(-1)
        found.append(torch.stack([derivatives(column.sum(), [t])[0] for column in columns], 1))
    return torch.cat(found)


def positions(per_replicate: int) -> Tensor:
    """Positions in (0, 1), one in each of the strata of every replicate, flattened."""
    start = torch.arange(per_replicate, dtype=torch.float64)
    noise = torch.rand(REPLICATES, per_replicate, dtype=torch.float64)
    return ((start + noise) / per_replicate).flatten()


def expectation(q: Distribution, probes: Probes, replicates: int, count: int) -> Tensor:
    """Replicates (R, J) of E[f(z)] for q with batch shape (1,), from plain draws."""
    with torch.no_grad():
        parts = torch.arange(replicates * count).split(CHUNK)
        values = torch.cat([probes(plain(q, len(part))[0][:, 0]) for part in parts])
        return values.reshape(replicates, count, -1).mean(1)


def _figures(values: Tensor) -> str:
    return "(" + ", ".join(f"{float(v):+.4f}" for v in values) + ")"


def compare(report: Report, line: str, slopes: Tensor, change: Tensor) -> None:
    """Hold the mean of slopes (N, J) against the replicates (R, J) of a change.

    Where a few slopes outweigh all others, as between two modes, their mean cannot be known.
    """
    centred = slopes - slopes.mean(0)
    heavy = centred.pow(4).mean(0) / centred.square().mean(0).square()
    slope = slopes.reshape(len(change), -1, slopes.shape[-1]).mean(1)
    line = (
        f"{line}: expectations change by {_figures(change.mean(0))}, "
        f"gradients add up to {_figures(slope.mean(0))}"
    )
    if bool((heavy > min(HEAVY, len(slopes) / 4)).any()):
        report.lines.append(f"{line}, not compared: kurtosis {float(heavy.max()):.0f}")
    else:
        report.statistical(vanishing_mean((slope - change).numpy()), line)
