"""Tables and curves of what benchmarks/ais.py finds."""

from pathlib import Path
from typing import Any

import pandas as pd
from page import Page
from torch import Tensor

from vaebench.evaluation import Estimate

COLUMNS = ("", "gradients/image", "bias", "mean abs. error", "s.e.", "distrusted", "s")


class Errors:
    """Rows of errors against a truth, printed and kept.

    Args:
        page: Where they are printed.
        title: Heads the table.
        truth: log p(x) (B,).
    """

    def __init__(self, page: Page, title: str) -> None:
        self.page = page
        self.rows: list[dict[str, Any]] = []
        page(f"\n## {title}\n")
        page.header(*COLUMNS)

    def add(self, name: str, found: Estimate, truth: Tensor, seconds: float) -> None:
        """The row of an estimate."""
        off = found.log_likelihood - truth
        cost = found.evaluations.double().mean().item()
        self._row(name, f"{cost:.0f}", off, f"{found.se.mean():.3f}", found, seconds)
        error = off.abs().mean().item()
        self.rows.append({"method": name, "gradients": cost, "bias": off.mean().item()})
        self.rows[-1] |= {"mean_absolute_error": error, "seconds": seconds}

    def _row(
        self, name: str, cost: str, off: Tensor, se: str, found: Estimate | None, seconds: float
    ) -> None:
        distrusted = "" if found is None else int((~found.trusted).sum())
        self.page.row(
            name,
            cost,
            f"{off.mean():+.3f}",
            f"{off.abs().mean():.3f}",
            se,
            distrusted,
            f"{seconds:.1f}",
        )

    def add_bound(self, samples: int, bound: Tensor, truth: Tensor, seconds: float) -> None:
        """The row of an importance bound."""
        name = f"importance bound, {samples} draws"
        self._row(name, f"({samples} forward)", bound - truth, "", None, seconds)


def saving(page: Page, frame: pd.DataFrame) -> None:
    """How many evaluations the same error takes otherwise than by the longest classical run."""
    longest = frame.iloc[-1]
    good = frame[frame["mean_absolute_error"] <= longest["mean_absolute_error"]]
    cheapest = good.loc[good["gradients"].idxmin()]
    page(
        f"\nThe error of {longest['method']} is {longest['mean_absolute_error']:.3f} nats for "
        f"{longest['gradients']:.0f} gradients an image. The cheapest with no larger error is "
        f"{cheapest['method']}: {cheapest['mean_absolute_error']:.3f} nats for "
        f"{cheapest['gradients']:.0f}, {longest['gradients'] / cheapest['gradients']:.0f} times "
        "fewer."
    )
    for _, row in frame[frame["method"].str.startswith("default")].iterrows():
        page(
            f"{row['method']}: {row['mean_absolute_error']:.3f} nats for {row['gradients']:.0f}, "
            f"{longest['gradients'] / row['gradients']:.0f} times fewer."
        )


def curves(frame: pd.DataFrame, path: Path) -> None:
    """Error against evaluations: one panel for starts and kernels, one for schedules."""
    from matplotlib.figure import Figure

    frame = frame[frame["method"].str.count(", ") >= 2]
    series = frame.groupby(frame["method"].str.rpartition(", ")[0], sort=False)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for name, rows in series:
        label = str(name)
        classical = "classical" in label
        places = (0, 1) if classical else (0,) if label.endswith("speed") else (1,)
        if label in ("laplace, hais, speed", "prior, hais, speed"):
            places = (0, 1)
        for place in places:
            panels[place].loglog(
                rows["gradients"],
                rows["mean_absolute_error"],
                "k-s" if classical else "--o" if "hmc" in label else "-o",
                markersize=3,
                label=label,
            )
    for panel, title in zip(panels, ("starts and kernels", "schedules"), strict=True):
        panel.set(title=title, xlabel="decoder gradients per image")
        panel.axhline(0.05, color="grey", linewidth=0.5)
        panel.legend(fontsize=7)
    panels[0].set_ylabel("mean absolute error / nats")
    figure.savefig(path, metadata={"Date": None})
