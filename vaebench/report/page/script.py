"""The script of a page: DataTables, which sorts, filters and hides columns, and our own."""

import base64
import functools
import hashlib
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

_OWN = Path(__file__).parents[1] / "assets" / "script.js"
_BUNDLE = "itables/html/dt_bundle.js"
_EXPORT = re.compile(r"\bexport\s*\{([^{}]*)\}")
#: What would change how a browser reads the element that holds the script.
_OPENING = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)


class Script(NamedTuple):
    """The text of a module, and its hash for a content security policy."""

    text: Markup
    digest: str


@functools.cache
def script() -> Script:
    """DataTables from the installed `itables` (MIT), then ours, in which it is `DataTable`.

    Without that package a page has no script, and its tables stand as they were written.
    """
    try:
        bundle = Path(str(distribution("itables").locate_file(_BUNDLE))).read_text("utf-8")
    except PackageNotFoundError:
        return Script(Markup(), base64.b64encode(hashlib.sha256().digest()).decode())
    (exported,) = _EXPORT.findall(bundle)
    (name,) = re.findall(r"([\w$]+) as default\b", exported)
    library = _OPENING.sub(r"\\x3C", _EXPORT.sub("", bundle))
    text = f"{library}\nconst DataTable = {name};\n{{\n{_OWN.read_text('utf-8')}}}\n"
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(Markup(text), digest)
