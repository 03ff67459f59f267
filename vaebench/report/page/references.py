"""Papers as links: arXiv numbers, DOIs and OpenReview names in the text of a reference."""

import re

from markupsafe import Markup

_KINDS = {
    "arXiv": (r"(?:\d{4}\.\d{4,5}|[a-z-]+/\d{7})", "https://arxiv.org/abs/"),
    "doi": (r"10\.\d{4,9}/[^\s;,]+", "https://doi.org/"),
    "openreview": (r"[\w-]{6,20}", "https://openreview.net/forum?id="),
}
_FOUND = re.compile("|".join(rf"\b{kind} (?P<{kind}>{form})" for kind, (form, _) in _KINDS.items()))


def linked(reference: str) -> Markup:
    """A reference, a stranger's text, as HTML with links to the papers that it names."""
    parts, at = [], 0
    for match in _FOUND.finditer(reference):
        parts += [Markup.escape(reference[at : match.start()]), _link(match)]
        at = match.end()
    return Markup("").join([*parts, Markup.escape(reference[at:])])


def _link(match: re.Match[str]) -> Markup:
    kind = match.lastgroup or ""
    address = _KINDS[kind][1] + match[kind]
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, match[0])
