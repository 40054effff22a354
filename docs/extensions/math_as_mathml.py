"""Math as MathML, which browsers show by themselves: no script, no fonts, nothing from elsewhere.

LaTeX is converted when the site is built. What cannot be converted is a warning, not a gap.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from leaderboard.pages.formulas import mathml

LOG = logging.getLogger(__name__)


def _visit(translator: Any, node: nodes.Element, *, block: bool) -> None:
    latex = node.astext()
    try:
        shown = mathml(latex, block=block)
    except Exception as error:  # the converter has no common class of errors
        LOG.warning("a formula cannot be shown as MathML: %s: %s", latex, error, location=node)
        shown = translator.encode(latex)
    translator.body.append(f'<div class="math">{shown}</div>' if block else shown)
    raise nodes.SkipNode


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula in a line."""
    _visit(translator, node, block=False)


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula that stands by itself."""
    _visit(translator, node, block=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register as the renderer of math."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
