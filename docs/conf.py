"""How the documentation is built: ``sphinx-build -W docs build/docs``."""

import inspect
from pathlib import Path

import vaebench

project = "vaebench"
author = "the authors of vaebench"
version = release = vaebench.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {"description": vaebench.__doc__.splitlines()[0], "fixed_sidebar": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True
exclude_patterns = ["_build"]
HERE = Path(__file__).parent


def metrics(app) -> None:
    """Write a section for every metric, from what each declares about itself."""
    from vaebench.evaluation.metrics.select import METRICS

    lines = []
    for metric in METRICS:
        better = f"{metric.better} is better" if metric.better else "no merit either way"
        lines += [f"### `{metric.name}`", "", f"{metric.title}. {metric.description}", ""]
        lines += [f"Unit: {metric.unit or 'none'}; {better}; group `{metric.group}`."]
        if metric.needs:
            laws = ", ".join(f"`{law}`" for law in sorted(metric.needs))
            lines += ["", f"Not given for variants that break {laws}."]
        said = inspect.getdoc(metric.compute)
        if said and not isinstance(metric.compute, type):
            lines += ["", said.split("\n\n")[0].replace("\n", " ")]
        lines += [""]
    path = HERE / "generated" / "metrics.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), "utf-8")


def setup(app) -> None:
    """Generate before anything is read."""
    app.connect("builder-inited", metrics)
