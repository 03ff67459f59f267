"""Names in the text lead to where they are explained, without markup of their own.

`Draw`, `vaebench.load("results")` and `Posterior.prior()` lead into the reference of the Python
interface, `inference_gap` and its kin to what the metric is. Annotations name the modules that
public names come from, and lead to the public names all the same.
"""

import re

from docutils import nodes
from sphinx.addnodes import desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import make_refnode

import vaebench
from vaebench.evaluation.metrics.select import METRICS

PUBLIC = set(vaebench.__all__) - {"__version__", "hookimpl"}
#: What a metric's name may hold in place of its braces.
_FILLED = {"k": r"(K|\d+)", "extractor": r"[a-z-]+"}
_METRICS = {
    metric.name: re.compile(
        re.sub(r"\{(\w+)\}", lambda found: _FILLED[found[1]], metric.name) + r"(@.*)?"
    )
    for metric in METRICS
}


def anchor(metric: str) -> str:
    """The anchor of a metric's section."""
    return "metric-" + re.sub(r"\W|_", "-", metric).strip("-")


def target(text: str) -> tuple[str, str] | None:
    """What a piece of code names: ``("obj", "vaebench.Draw")``, ``("metric", "kl")`` or nothing."""
    name, called, _ = text.partition("(")
    if not re.fullmatch(r"[\w.@=,\[\]-]+", name):
        return None
    if name.startswith("vaebench.") and "=" not in name:
        return "obj", name
    first = name.split(".")[0]
    if first in PUBLIC and (called or first[0].isupper()):
        return "obj", f"vaebench.{name}"
    for metric, pattern in _METRICS.items():
        if pattern.fullmatch(text):
            return "metric", metric
    return None


class Names(SphinxTransform):
    """Make references of the names in running text."""

    default_priority = 600

    def apply(self, **kwargs: object) -> None:
        """Wrap each piece of code that names something."""
        for node in list(self.document.findall(nodes.literal)):
            parents = (nodes.reference, nodes.title, nodes.rubric, pending_xref, desc_signature)
            if isinstance(node.parent, parents):
                continue
            if found := target(node.astext()):
                kind, name = found
                reference = pending_xref(
                    "",
                    node.deepcopy(),
                    refdomain="py" if kind == "obj" else "",
                    reftype=kind,
                    reftarget=name,
                    refexplicit=True,
                    refwarn=True,
                    refdoc=self.env.docname,
                )
                node.replace_self(reference)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """A metric's section; the public name of a module's; the class of a member without an entry."""
    name, page = node["reftarget"], node.get("refdoc", "")
    if node.get("reftype") == "metric":
        return make_refnode(app.builder, page, "metrics", anchor(name), content)
    if node.get("refdomain") != "py":
        return None
    known = env.domains.python_domain.objects
    last = name.rsplit(".", 1)[-1]
    for each in (f"vaebench.{last}" if last in PUBLIC else "", name.rsplit(".", 1)[0]):
        if each in known:
            return make_refnode(
                app.builder, page, known[each].docname, known[each].node_id, content
            )
    return None


def readable(app: Sphinx, what: str, name: str, obj: object, options: object, signature, returned):
    """A signature whose defaults are written as code, so that its types lead somewhere."""
    if signature:
        signature = re.sub(r"<function (\w+)>|<factory>", lambda m: m[1] or "...", signature)
    return signature, returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both steps."""
    app.add_transform(Names)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
