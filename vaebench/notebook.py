"""A finished run for notebooks: tidy frames, plots, and the trained models on request."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vaebench.runs import run as runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaebench.data.dataset import Dataset
    from vaebench.models.vae import VAE


def load(run: Path | str) -> "Run":
    """Open a run's folder for reading.

    Raises:
        UserError: The folder is not a run.
    """
    return Run(run)


def read(
    name: str,
    data_dir: Path | str | None = None,
    image_size: int | None = None,
    download: bool = False,
) -> "Dataset":
    """A data set as a run sees it: stored pixels, labels and factors of its splits.

    Args:
        name: Spelled as for ``--dataset``: ``mnist``, ``digits[without=9]``, ``folder:PATH``, ….
        data_dir: The folder of the data sets; by default ``$VAEBENCH_DATA``, or ``data``.
        image_size: Side length in pixels, for data sets that come in several.
        download: Whether it may be fetched.

    Raises:
        UserError: It does not exist, is missing or damaged, or does not come in that size.

    Example:
        >>> sprites = read("sprites[items=500]")
        >>> sprites.train.pixels.shape, sprites.factors
        (torch.Size([500, 1, 32, 32]), ('shape', 'size', 'angle', 'x', 'y'))
    """
    from vaebench.data.images import Request
    from vaebench.registry import lookup

    root = Path(data_dir or os.environ.get("VAEBENCH_DATA") or "data")
    return lookup.load(name, Request(root, download, image_size))


class Run(runs.Run):
    """What a run left behind: frames, read on first use, trained models and plots.

    Args:
        folder: The run's folder, as given to ``--out``.
        pending: Include the cells that are planned and have not begun.

    Raises:
        UserError: The folder is not a run.

    Example:
        >>> run = load("results/example")  # doctest: +SKIP
        >>> run.table[["plugin", "elbo", "elbo_ci_low", "elbo_ci_high"]]  # doctest: +SKIP
    """

    def model(self, cell: str) -> "VAE":
        """The trained VAE of a cell on the CPU, in evaluation mode.

        The weights are read as safetensors and checked against the model that the cell's settings
        describe; nothing is unpickled. The variant's plugin has to be installed.

        Args:
            cell: Its name, or a beginning of it that no other cell has.

        Raises:
            UserError: There is no such cell, it did not finish, or its weights do not fit.
        """
        from vaebench.execution.restore import restore

        return restore(self.folder, self.records[self.find(cell)]).model

    def plot_curves(self, term: str) -> "Axes":
        """A term of the history over epochs: mean of each variant's seeds, with their range.

        Args:
            term: Such as ``valid_elbo`` or ``train_log_px``.

        Raises:
            UserError: No cell has that term.
        """
        from vaebench.report.plots import figures

        return figures.curves(self, term)

    def plot_scatter(self, x: str, y: str) -> "Axes":
        """One metric against another, a point with its intervals for each variant.

        Raises:
            UserError: Fewer than two variants have both, or they may not be compared.
        """
        from vaebench.report.plots import figures

        return figures.scatter(self, x, y)

    def plot_differences(self, metric: str) -> "Axes":
        """The difference of each variant to the best one, with the interval that decides.

        Raises:
            UserError: There is no such metric, or nothing to tell the variants apart by.
        """
        from vaebench.report.plots import figures

        return figures.differences(self, metric)
