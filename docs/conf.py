"""How the documentation is built: ``sphinx-build -W docs build/docs``. It needs no network."""

import sys
from pathlib import Path

import vaebench

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "vaebench"
author = "the authors of vaebench"
version = release = vaebench.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "generated",
    "mathml",
    "names",
]
exclude_patterns = ["extensions"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
html_math_renderer = "mathml"

html_theme = "furo"
html_title = "vaebench"
html_static_path = ["assets"]
html_extra_path = ["generated/extra"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_use_ivar = True
napoleon_attr_annotations = False
python_use_unqualified_type_names = True
default_role = "code"

nitpicky = True
#: What other packages explain, as annotations and docstrings write it.
nitpick_ignore_regex = [
    ("py:.*", r"vaebench\.(models|evaluation\.\w+|testing\.\w+|statistics\.\w+)\..*"),
    ("py:.*", r"(torch|nn|collections|pathlib|pandas|pd|matplotlib|numpy|np|typing)\..*"),
    (
        "py:.*",
        r"(VAE|Axes|dict\[str|Path|Tensor|Distribution|Callable|Mapping|Any|Sampler|optional)",
    ),
]
