"""What the pages show of the code and of a run, written before anything is read.

`docs/generated` holds the metrics and variants as they declare themselves, and figures, pictures
and the page of the run in `results/example`.
"""

import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from names import anchor
from sphinx.application import Sphinx

import vaebench
from vaebench.cli.inventory import _option as option
from vaebench.cli.inventory import collect
from vaebench.report.page.references import linked
from vaebench.report.plots import style

RUN = Path(__file__).parents[2] / "results" / "example"
#: Pictures of a cell, with what they show.
PICTURES = {
    "samples": "Samples from the prior",
    "reconstructions": "Test images, a line of originals over a line of reconstructions",
    "interpolations": "From the code of one test image to that of another",
    "traversals": "One dimension of a code at a time, the widest first",
    "film": "The same noise, epoch after epoch",
}


def metrics() -> Iterator[str]:
    """A section for every metric, from what each declares about itself."""
    from vaebench.evaluation.metrics.select import METRICS

    for metric in METRICS:
        better = f"{metric.better} is better" if metric.better else "no merit either way"
        yield f"({anchor(metric.name)})=\n### `{metric.name}`"
        yield f"{metric.title}. {metric.description}"
        yield f"Unit: {metric.unit or 'none'}; {better}; group `{metric.group}`."
        if metric.needs:
            laws = ", ".join(f"`{law}`" for law in sorted(metric.needs))
            yield f"Not given for variants that break {laws}."
        said = inspect.getdoc(metric.compute)
        if said and not isinstance(metric.compute, type):
            yield said.split("\n\n")[0].replace("\n", " ")


def variants() -> Iterator[str]:
    """A section for every family and a paragraph for every variant, as `vaebench list` has them."""
    built_in = f"vaebench {vaebench.__version__}"
    found = [
        one
        for plugin in collect()["plugins"]
        if plugin["package"] == built_in
        for one in plugin["variants"]
    ]
    yield f"{len(found)} variants come with vaebench."
    for family in sorted({one["family"] for one in found}):
        yield f"## {family.capitalize()}"
        yield from (_variant(one) for one in found if one["family"] == family)


def laws() -> Iterator[str]:
    """A paragraph for every law of the conformance kit."""
    from vaebench.testing import checks

    for check in checks():
        said = inspect.getdoc(check) or ""
        yield f"`{check.name}`\n: {said.split(chr(10) * 2)[0].replace(chr(10), ' ')}"


def _variant(one: dict[str, Any]) -> str:
    options = ", ".join(f"`{option(*each)}`" for each in one["options"].items())
    broken = "".join(f"\n- Breaks `{law}`: {why}." for law, why in one["deviations"].items())
    paper = f" {linked(one['reference'])}." if one["reference"] else ""
    said = _escaped(one["description"])
    return (
        f"`{one['name']}`\n: {said}{paper}\n\n  Options: {options or 'none'}.\n{_indented(broken)}"
    )


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]<>#|$" else sign for sign in text)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def figures() -> Iterator[tuple[str, str]]:
    """Plots of the run as SVG that takes its colours from the page around it."""
    run = vaebench.load(RUN)
    with style.styled():
        for name, axes, words in (
            ("curves", run.plot_curves("valid_elbo"), "The validation ELBO over epochs"),
            ("differences", run.plot_differences("log_likelihood_ais"), "Differences of log p(x)"),
            ("scatter", run.plot_scatter("kl", "distortion"), "Rate and distortion"),
        ):
            if legend := axes.get_legend():
                legend.set_frame_on(False)
            drawn = style.svg(axes.figure, words, name)
            yield (
                name,
                f'<div style="max-width: {1.4 * axes.figure.get_figwidth()}in">{drawn}</div>',
            )


def gallery(home: Path) -> Iterator[str]:
    """The pictures of each cell of the run, kind by kind; copies them to `home`."""
    cells = sorted(RUN.glob("cells/*"))
    for kind, words in PICTURES.items():
        yield f"## {words}"
        for cell in cells:
            if (cell / f"{kind}.png").exists():
                variant = cell.name.split("-")[0]
                name = f"{kind}-{variant}.png"
                shutil.copyfile(cell / f"{kind}.png", home / name)
                yield (
                    f":::{{figure}} /generated/{name}\n:alt: {words}, {variant}\n:class: pixels\n\n"
                    f"`{variant}`\n:::"
                )


def _page(folder: Path) -> None:
    """Make the page of the run with the code of today."""
    command = [sys.executable, "-m", "vaebench", "report", str(RUN), "--out", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for path in folder.iterdir():
        if path.name != "report.html":
            path.unlink()


def generate(app: Sphinx) -> None:
    """Write everything into `docs/generated`."""
    home = Path(app.srcdir) / "generated"
    shutil.rmtree(home, ignore_errors=True)
    (home / "extra" / "example").mkdir(parents=True)
    texts: dict[str, Iterable[str]] = {
        "metrics.txt": metrics(),
        "variants.txt": variants(),
        "laws.txt": laws(),
        "gallery.txt": gallery(home),
    }
    for name, parts in texts.items():
        (home / name).write_text("\n\n".join(parts) + "\n", "utf-8")
    for name, drawn in figures():
        (home / f"{name}.svg").write_text(drawn, "utf-8")
    shutil.copyfile(RUN / "report.png", home / "report.png")
    _page(home / "extra" / "example")


def make_folder(app: Sphinx, config: object) -> None:
    """Make the folder that the configuration names, before that is checked."""
    (Path(app.srcdir) / "generated" / "extra").mkdir(parents=True, exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Generate before anything is read."""
    app.connect("config-inited", make_folder, priority=100)
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
