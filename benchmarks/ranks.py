"""Ranks of the variants that several studies share, a column for each data set.

    python benchmarks/ranks.py results/study/digits results/study/mnist results/study/fashion

writes ranks.md into the folder above the first. Ranks are taken for each seed by itself, 1 is best;
shown are their mean and, in brackets, the best and the worst of them. Log p(x) is compared on the
images whose estimate is trusted for all variants of a seed; variants with less than three quarters
of their images trusted are left out. Fewer than six data sets are too few for a test of mean ranks
(Demšar 2006), so there is none.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import vaebench
from vaebench.runs import files

#: The least part of the images with a trusted estimate that a variant is ranked with.
TRUSTED = 0.75


class Measure(NamedTuple):
    """What is ranked: a column of each image or, with *, of cells by how it begins and ends."""

    title: str
    column: str
    larger: bool


MEASURES = (
    Measure("log p(x), AIS", "log_likelihood_ais", True),
    Measure("ELBO", "elbo", True),
    Measure("FID of samples", "fid_*", False),
    Measure("FID of samples of the fitted mixture", "fid_*@gmm", False),
)


def values(run: vaebench.Run, measure: Measure) -> pd.DataFrame:
    """A number for each seed and variant."""
    if "*" in measure.column:
        begins, ends = measure.column.split("*")
        extractor = sorted(c for c in run.cells if c.startswith(begins) and c.endswith("_real"))
        name = extractor[0].removesuffix("_real") + ends
        return run.cells.pivot(index="seed", columns="plugin", values=name)
    images = run.per_image[run.per_image["metric"] == measure.column]
    each = images.pivot(index=["seed", "index"], columns="plugin", values="value")
    return comparable(each).groupby("seed").mean()


def comparable(images: pd.DataFrame) -> pd.DataFrame:
    """Of values for each seed, image and variant those of images that all variants have.

    Images that no variant has were not measured; variants that have few of the others in a seed
    are left out.
    """
    measured = images.dropna(how="all")
    share = measured.notna().groupby("seed").mean().min()
    return measured.loc[:, share >= TRUSTED].dropna()


def ranked(frames: Iterable[pd.DataFrame], *, larger: bool) -> list[pd.DataFrame]:
    """Ranks of the variants that all frames share, for each seed."""
    found = [frame.dropna(axis=1) for frame in frames]
    shared = sorted(set.intersection(*(set(frame.columns) for frame in found)))
    return [frame[shared].rank(axis=1, ascending=not larger) for frame in found]


def table(names: list[str], ranks: list[pd.DataFrame]) -> list[str]:
    """Lines of a table, the best mean of the data sets' means first."""
    means = pd.DataFrame({name: each.mean() for name, each in zip(names, ranks, strict=True)})
    order = means.mean(axis=1).sort_values(kind="stable")
    lines = [
        f"| variant | {' | '.join(names)} | mean |",
        f"|---|{'---:|' * (len(names) + 1)}",
    ]
    for variant, mean in order.items():
        each = [
            f"{r[variant].mean():.1f} ({r[variant].min():g}–{r[variant].max():g})" for r in ranks
        ]
        lines.append(f"| `{variant}` | {' | '.join(each)} | {mean:.1f} |")
    return lines


def main(folders: list[Path]) -> None:
    """Write the page."""
    runs = [vaebench.load(folder) for folder in folders]
    names = [folder.name for folder in folders]
    lines = [
        "# Ranks over data sets",
        "",
        f"Made by `python benchmarks/ranks.py {' '.join(map(str, folders))}`: 1 is best; the mean "
        "over seeds and, in brackets, the best and worst of one seed. Log p(x) is on images whose "
        "estimate is trusted for all variants, without variants that have less than three quarters "
        "of them. With fewer than six data sets mean ranks cannot be "
        "tested: read them as a summary, and the intervals of each data set for what is sure.",
    ]
    for measure in MEASURES:
        ranks = ranked((values(run, measure) for run in runs), larger=measure.larger)
        seeds = ", ".join(f"{len(r)} of {name}" for name, r in zip(names, ranks, strict=True))
        lines += ["", f"## {measure.title}", "", *table(names, ranks), "", f"Seeds: {seeds}."]
    files.write_text(folders[0].parent / "ranks.md", "\n".join([*lines, ""]))


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
