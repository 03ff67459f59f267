"""Mathematics as MathML, which browsers show by themselves: no script, no network."""

from docutils import nodes
from math_core import LatexToMathML
from sphinx.application import Sphinx

CONVERTER = LatexToMathML(annotation=True)


def inline(writer, node: nodes.math) -> None:
    """Write a formula of a line."""
    writer.body.append(CONVERTER.convert_with_local_state(node.astext(), displaystyle=False))
    raise nodes.SkipNode


def block(writer, node: nodes.math_block) -> None:
    """Write a formula of its own, which scrolls where the screen is narrower."""
    formula = CONVERTER.convert_with_local_state(node.astext(), displaystyle=True)
    writer.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
