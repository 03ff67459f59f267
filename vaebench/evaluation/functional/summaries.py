"""What is kept of many values: histograms and quantiles as plain data."""

from torch import Tensor


def histogram(values: Tensor, bins: int = 20) -> dict[str, list[float]]:
    """Counts (bins,) and edges (bins + 1,) of values, as plain data."""
    values = values.detach().double().cpu().flatten()
    counts, edges = values.histogram(bins)
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def quantiles(values: Tensor) -> dict[str, float]:
    """The 5, 25, 50, 75 and 95 % quantiles of values, by name."""
    levels = (5, 25, 50, 75, 95)
    ordered = values.detach().double().cpu().flatten().sort().values
    ranks = [round(level / 100 * (len(ordered) - 1)) for level in levels]
    return {f"q{level:02}": ordered[rank].item() for level, rank in zip(levels, ranks, strict=True)}
